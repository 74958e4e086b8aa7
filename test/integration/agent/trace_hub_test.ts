import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../agent/clock.ts'
import { machineFiles } from '../../../agent/inventory/system_files.ts'
import { runCommand } from '../../../agent/run_command.ts'
import { prepareTracing } from '../../../agent/tracking/choose.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { parseDeviceNumber } from '../../../agent/tracking/trace.ts'
import { until } from '../../fixtures/waiting.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'

/** Remembers the first sectors of what changed. */
function makeSink() {
  const changed: number[] = []
  return { changed, sink: { changed: (sector: number) => void changed.push(sector), lost: () => undefined } }
}

describe('TraceHub without tracing', () => {
  it('says each time that the kernel refuses', async () => {
    const hub = new TraceHub(systemClock, { root: '/nowhere' })
    const device = { major: 7, minor: 0 }
    await expect(hub.subscribe(device, makeSink().sink)).rejects.toThrow('ENOENT')
    await expect(hub.subscribe(device, makeSink().sink)).rejects.toThrow('ENOENT')
  })
})

describe.runIf(isRoot)('TraceHub', () => {
  let disk: LoopDisk

  beforeEach(async () => {
    expect(await prepareTracing(runCommand, true)).toBeUndefined()
    disk = await LoopDisk.make(1)
  })

  afterEach(() => disk.remove())

  it('marks discards of a disk that merges them when they have ended, and is never in doubt of them', async () => {
    const facts = await machineFiles.facts(disk.device)
    const device = { ...parseDeviceNumber(facts?.deviceNumber ?? ''), mergesDiscards: true }
    const hub = new TraceHub(systemClock)
    const marked = new Set<string>()
    const lost: string[] = []
    await hub.subscribe(device, {
      changed: (sector, count) => void marked.add(`${sector}+${count}`),
      lost: (reason) => void lost.push(reason),
    })
    try {
      for (let round = 0; round < 24; round++) {
        const offset = (round % 8) * 131_072
        marked.clear()
        await disk.discard(offset, 65_536)
        await hub.pump(true)
        expect([...marked]).toContain(`${offset / 512}+128`)
      }
      await hub.pump(true)
      expect(lost).toEqual([])
    } finally {
      await hub.unsubscribe(device)
    }
  })

  it('refuses a device that somebody has, who goes on hearing of its changes', async () => {
    const facts = await machineFiles.facts(disk.device)
    const device = parseDeviceNumber(facts?.deviceNumber ?? '')
    const hub = new TraceHub(systemClock)
    const first = makeSink()
    const second = makeSink()
    await hub.subscribe(device, first.sink)
    try {
      await expect(hub.subscribe(device, second.sink)).rejects.toThrow(/Cannot track device \d+:\d+ twice/)
      await disk.write(65_536, randomBytes(4096))
      await until(
        'the change is seen',
        async () => {
          await hub.pump(false)
          return first.changed.includes(128)
        },
        10_000,
        20,
      )
      expect(second.changed).toEqual([])
    } finally {
      await hub.unsubscribe(device)
    }
    await hub.subscribe(device, second.sink)
    await hub.unsubscribe(device)
  })
})
