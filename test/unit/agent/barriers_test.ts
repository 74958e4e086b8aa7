import { describe, expect, it } from 'vitest'
import { Barriers } from '../../../agent/consistency/barriers.ts'
import { newTally } from '../../../agent/consistency/point_context.ts'
import { PointKeeper } from '../../../agent/consistency/point_keeper.ts'
import { DiskGoneError } from '../../../agent/disk/block_source.ts'
import { LineLog } from '../../../agent/log.ts'
import type { StoppedDisk } from '../../../agent/sync/disk_set.ts'
import type { BarrierAnswer } from '../../../agent/sync/questions.ts'
import type { Sender } from '../../../agent/sync/sender.ts'
import { defaultConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import type { Barrier } from '../../../wire/message.ts'
import { FakeClock } from './fake_clock.ts'

/** A point that is pending, by the policy or for a launch, and a far end that answers barriers so. */
function makeBarriers(
  isScheduled: boolean,
  answer: () => Promise<BarrierAnswer>,
  stopped: StoppedDisk[] = [],
) {
  const clock = new FakeClock()
  const points = new PointKeeper(clock)
  if (isScheduled) {
    points.setPolicy({ ...defaultConsistencyPolicy, intervalMinutes: 1 })
    clock.now += 60_000
    points.schedule()
  } else {
    const expiresAt = new Date(clock.nowMs() + 120_000).toISOString()
    points.apply({ consistencyPointId: 'cp-launch', expiresAt, maxFreezeMs: 1000 })
  }
  const request = points.pending
  if (request === undefined) throw new Error('A point is pending')
  const { consistencyPointId, hold } = request
  const barrier: Barrier = { consistencyPointId, hold, method: 'FROZEN', frozenMs: 12 }
  const sent: string[] = []
  const sender = {
    barrier: (body: Barrier) => {
      sent.push(body.consistencyPointId)
      return answer()
    },
  } as unknown as Sender
  const barriers = new Barriers(
    {
      clock,
      points,
      disks: { stopped },
      log: new LineLog({ write: () => undefined }, () => 0),
      note: () => undefined,
      onChange: () => undefined,
    },
    sender,
    new AbortController().signal,
  )
  points.sent(barrier, { ...newTally(), freezes: 1, longestFreezeMs: 12 })
  return { clock, points, request, barrier, barriers, sent }
}

const never = (): Promise<BarrierAnswer> => new Promise(() => undefined)

describe('Barriers', () => {
  it('gives up the barrier of a point by the policy that nobody answers, and counts it', async () => {
    const { clock, points, request, barrier, barriers } = makeBarriers(true, never)
    const begin = clock.now
    await barriers.send(barrier, request)
    expect(clock.now - begin).toBe(30_000)
    expect(points.pending).toBeUndefined()
    expect(points.outcomes).toMatchObject([
      {
        consistencyPointId: barrier.consistencyPointId,
        isScheduled: true,
        freezes: 1,
        failure: expect.stringContaining('has not answered the barrier within 30 s') as string,
      },
    ])
  })

  it('counts a point that the replicator could not reach as failed, with its figures', async () => {
    const unread = { unknownBytes: 2 ** 40, bytesPerSecond: 400e6 }
    const { points, request, barrier, barriers } = makeBarriers(true, () => Promise.resolve({ unread }))
    await barriers.send(barrier, request)
    expect(points.outcomes).toMatchObject([
      {
        isScheduled: true,
        freezes: 1,
        longestFreezeMs: 12,
        failure: expect.stringMatching(
          /^1024\.00 GiB of the copy, .* at 400 MB\/s; it would hold replication back for 2749 s/,
        ) as string,
      },
    ])
    expect(points.outcomes[0]?.method).toBeUndefined()
  })

  it('repeats after a lost answer what is held, and nothing else', async () => {
    const roots = [{ diskIndex: 0, root: 'a'.repeat(64) }]
    const reached = (consistencyPointId: string) => () =>
      Promise.resolve({ reached: { consistencyPointId, roots } })
    const launch = makeBarriers(false, reached('cp-launch'))
    await launch.barriers.repeat()
    expect(launch.sent).toEqual(['cp-launch'])
    expect(launch.points.outcomes).toMatchObject([{ consistencyPointId: 'cp-launch', method: 'FROZEN' }])

    const byPolicy = makeBarriers(true, never)
    await byPolicy.barriers.repeat()
    expect(byPolicy.sent).toEqual([])
    expect(byPolicy.points.sentBarrier).toBeUndefined()
    // It is begun again.
    expect(byPolicy.points.pending).toBe(byPolicy.request)
  })

  it('repeats no point at which a disk would be missing', async () => {
    const error = new DiskGoneError('/dev/vdb', 'The device is gone')
    const want = {
      diskIndex: 1,
      stableId: 'wwn-1',
      volumeId: 'vol-1',
      deviceName: '/dev/vdb',
      sizeBytes: 2 ** 30,
    }
    const launch = makeBarriers(false, never, [{ want, error }])
    await launch.barriers.repeat()
    expect(launch.sent).toEqual([])
    expect(launch.points.sentBarrier).toBeUndefined()
    expect(launch.points.pending).toBe(launch.request)
  })
})
