import { describe, expect, it } from 'vitest'
import type { ControlClient } from '../../../agent/control_client.ts'
import { ControlError } from '../../../agent/control_error.ts'
import type { DiskNews } from '../../../agent/heartbeat.ts'
import { Heartbeat } from '../../../agent/heartbeat.ts'
import { LineLog } from '../../../agent/log.ts'
import type { PointOutcome } from '../../../domain/point_figures.ts'
import type { SourceDisk } from '../../../domain/source_server.ts'
import type { Note } from '../../../agent/sync/note_box.ts'
import type { AgentDesired, AgentHeartbeat } from '../../../wire/control_api.ts'
import { agentHeartbeatSchema } from '../../../wire/control_api.ts'
import { FakeClock } from './fake_clock.ts'

const desired: AgentDesired = {
  mode: 'REPLICATE',
  disks: [],
  throttleBitsPerSecond: 0,
  rescanEpoch: 0,
  renewCertificate: false,
  heartbeatIntervalMs: 1000,
}

/** A heartbeat against answers given one after the other; the last one ends it. */
async function talk(
  answers: (AgentDesired | Error)[],
  options: { skewMs?: number; disks?: DiskNews; outcomes?: PointOutcome[] } = {},
) {
  const clock = new FakeClock()
  const sent: AgentHeartbeat[] = []
  const applied: AgentDesired[] = []
  const lines: string[] = []
  let notes: Note[] = [{ level: 'INFO', message: 'told once' }]
  const renewals: boolean[] = []
  let outcomes = options.outcomes ?? []
  const controller = new AbortController()
  const client = {
    clockSkewMs: options.skewMs,
    heartbeat: (body: AgentHeartbeat) => {
      sent.push(agentHeartbeatSchema.parse(body))
      const answer = answers.shift()
      if (answers.length === 0) controller.abort()
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
  } as unknown as ControlClient
  const heartbeat = new Heartbeat({
    client,
    disks: options.disks ?? { untold: undefined, told: () => undefined },
    engine: {
      report: () => ({
        state: 'CONTINUOUS',
        isConnected: true,
        firstByteAtMs: 1,
        lastConsistentAtMs: 2,
        lagMs: 3,
        backlogBytes: 4,
        bytesPerSecond: 5,
        sentBytes: 6,
        changedBytes: 0,
        timeLeftMs: null,
        pace: undefined,
        readingSlowed: undefined,
        rescanEpoch: 7,
        disks: [],
        consistencyFailure: undefined,
        pointOutcomes: outcomes,
        verification: undefined,
        error: undefined,
      }),
      takeNotes: () => notes.splice(0),
      giveBackNotes: (back) => {
        notes = [...back, ...notes]
      },
      note: (level, message) => {
        notes.push({ level, message })
        lines.push(message)
      },
      apply: (wish) => applied.push(wish),
      toldPoints: (sequence) => {
        outcomes = outcomes.filter((outcome) => outcome.sequence > sequence)
      },
    },
    generation: 4,
    clock,
    random: () => 1,
    log: new LineLog({ write: (line) => lines.push(line) }, () => 0),
    renewIfDue: (isAsked) => {
      renewals.push(isAsked)
      return Promise.resolve()
    },
  })
  const end = await heartbeat.run(controller.signal).catch(() => 'STOPPED')
  return { end, sent, applied, lines, renewals, clock }
}

describe('Heartbeat', () => {
  it('tells how it stands and applies every answer', async () => {
    const { sent, applied, renewals, end } = await talk([
      desired,
      { ...desired, renewCertificate: true },
      desired,
    ])
    expect(sent[0]).toMatchObject({
      generation: 4,
      state: 'CONTINUOUS',
      lagMs: 3,
      rescanEpoch: 7,
      firstByteAt: '1970-01-01T00:00:00.001Z',
    })
    expect(applied).toHaveLength(3)
    expect(renewals).toEqual([false, true, false])
    expect(end).toBe('STOPPED')
  })

  it('tells a note once, and again when the telling failed', async () => {
    const { sent } = await talk([new ControlError('away', undefined), desired, desired])
    expect(sent.map((body) => body.notes.length)).toEqual([1, 1, 0])
  })

  it('tells once what keeps the gateway from replicating, and when it is over', async () => {
    const obstacle = { reason: 'Disk /dev/sda is smaller than before', whatToDo: 'Check the disk' }
    const idle: AgentDesired = { ...desired, mode: 'IDLE', obstacle }
    const { lines } = await talk([desired, idle, idle, { ...desired, mode: 'PAUSE' }, idle, desired, desired])
    const told = lines.filter((line) => /replicated/.test(line))
    expect(told).toHaveLength(2)
    expect(told[0]).toContain(
      'The disks are not replicated: Disk /dev/sda is smaller than before. What to do: Check the disk',
    )
    expect(told[1]).toContain('What kept the disks from being replicated is over')
  })

  it('tells of the disks until it is answered', async () => {
    const known: SourceDisk[] = [{ deviceName: '/dev/sda', sizeBytes: 512, stableId: 'a', isBootDisk: true }]
    let untold: SourceDisk[] | undefined = known
    const disks: DiskNews = {
      get untold() {
        return untold
      },
      told: () => {
        untold = undefined
      },
    }
    const { sent } = await talk([new ControlError('away', undefined), desired, desired], { disks })
    expect(sent.map((body) => body.sourceDisks)).toEqual([known, known, undefined])
  })

  it('tells what became of points until it is answered', async () => {
    const outcome: PointOutcome = {
      sequence: 7,
      consistencyPointId: 'cp-1',
      agoMs: 1,
      isScheduled: true,
      failure: 'too busy',
      freezes: 1,
      longestFreezeMs: 20,
      longestHoldMs: 0,
      hooks: 'NONE',
    }
    const answers = [new ControlError('away', undefined), desired, desired]
    const { sent } = await talk(answers, { outcomes: [outcome] })
    expect(sent.map((body) => body.pointOutcomes)).toEqual([[outcome], [outcome], undefined])
  })

  it('waits longer after every failure', async () => {
    const { clock } = await talk([
      ...Array.from({ length: 4 }, () => new ControlError('away', undefined)),
      desired,
    ])
    expect(clock.sleeps.slice(0, 4)).toEqual([1000, 2000, 4000, 8000])
  })

  it('ends when it is to uninstall, without applying that', async () => {
    const { end, applied } = await talk([{ ...desired, mode: 'UNINSTALL' }, desired])
    expect(end).toBe('UNINSTALL')
    expect(applied).toEqual([])
  })

  it('ends when a newer run has taken over', async () => {
    const { end, lines } = await talk([new ControlError('The gateway refused', 409), desired])
    expect(end).toBe('FENCED')
    expect(lines.join('')).toContain('a newer run of this agent has taken over')
  })

  it('tells once that the clock is wrong', async () => {
    const { sent, lines } = await talk([desired, desired, desired], { skewMs: 3_600_000 })
    expect(
      sent.flatMap((body) => body.notes).filter((note) => note.message.includes('3600 s behind')),
    ).toHaveLength(1)
    expect(lines.filter((line) => line.includes('3600 s behind'))).toHaveLength(1)
  })
})
