import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TracefsTracker } from '../../../agent/tracking/tracefs_tracker.ts'
import { TrackFolder } from '../../../agent/tracking/track_folder.ts'
import { CountingTrace } from './counting_trace.ts'
import { FakeClock } from './fake_clock.ts'
import { SimKernel, SimProcess } from './sim_trace.ts'

// Only the reads that are asked for count: the hub's own timer stands still.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval'] }))
afterEach(() => void vi.useRealTimers())

async function tracked(count: number) {
  const trace = new CountingTrace()
  const clock = new FakeClock()
  const hub = new TraceHub(clock, { kernel: trace.kernel })
  const room = new PieceRoom()
  const trackers = Array.from({ length: count }, (_, minor) => {
    const device = { major: 8, minor }
    return new TracefsTracker({ hub, device, sizeBytes: 2 ** 30, reason: 'test', room })
  })
  for (const tracker of trackers) await tracker.start()
  // The first look ever checks too.
  await trackers[0]?.drain()
  trace.counts.reads = 0
  trace.counts.checks = 0
  return { trace, clock, trackers }
}

it('reads once for all who ask in the same breath', async () => {
  const { trace, clock, trackers } = await tracked(3)
  trace.completed({ major: 8, minor: 1 }, 128)
  const drained = await Promise.all(trackers.map((tracker) => tracker.drain()))
  expect(drained.map((each) => !each.lost && each.changed.length)).toEqual([0, 1, 0])
  expect(trace.counts.reads).toBe(1)
  clock.now += 10
  await Promise.all(trackers.map((tracker) => tracker.drain()))
  expect(trace.counts.reads).toBe(2)
})

it('reads again for whoever asks while a reading is under way: it may be past what has happened since', async () => {
  const { trace, trackers } = await tracked(2)
  const [first, second] = trackers
  const gate = Promise.withResolvers<void>()
  trace.gate = gate.promise
  const before = first?.drain()
  await new Promise((resolve) => setImmediate(resolve))
  expect(trace.counts.reads).toBe(1)
  trace.completed({ major: 8, minor: 1 }, 128)
  const after = second?.drain()
  gate.resolve()
  expect(await before).toEqual({ lost: false, changed: [] })
  const drained = await after
  expect(drained?.lost === false && drained.changed.length).toBe(1)
  expect(trace.counts.reads).toBe(2)
})

it('checks the counters for one who must be sure, whoever asked first and however little time has passed', async () => {
  const { trace, trackers } = await tracked(3)
  await Promise.all(trackers.map((tracker, index) => tracker.drain(index === 1)))
  expect(trace.counts).toEqual({ reads: 1, checks: 1 })
  await Promise.all(trackers.map((tracker) => tracker.drain(false)))
  expect(trace.counts).toEqual({ reads: 2, checks: 1 })
  await trackers[0]?.drain(true)
  expect(trace.counts).toEqual({ reads: 3, checks: 2 })
})

it('says why what an earlier run in this boot left cannot be gone on from, and asks then for nothing that was sealed before', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'rehost-hub-')), 'kept')
  const kernel = new SimKernel(10)
  const device = { major: 8, minor: 0 }
  const run = async (generation: number) => {
    const claim = vi.fn(() => Promise.resolve('nothing was sealed'))
    const hub = new TraceHub(new FakeClock(), {
      folder: new TrackFolder({ path, instanceName: 'a', bootId: 'b', generation, newRingId: () => 'c' }),
      boot: { claim, read: () => Promise.reject(new Error('nothing is to be read')) },
      kernel: kernel.as(new SimProcess()),
    })
    const disk = { diskId: 'd', volumeId: 'v', sizeBytes: 2 ** 20 }
    const room = new PieceRoom()
    const tracker = new TracefsTracker({ hub, device, sizeBytes: 2 ** 20, reason: 'test', room, disk })
    await tracker.start()
    return { hub, claim, inherited: tracker.memory?.inherited }
  }
  try {
    const first = await run(1)
    expect(first.inherited).toBe('nothing was sealed')
    await first.hub.leave()
    kernel.happened({ device, firstSector: 0, sectorCount: 8 })
    kernel.steal()
    const second = await run(2)
    expect(second.inherited).toBe('it is not as it was left')
    expect(second.claim).not.toHaveBeenCalled()
  } finally {
    rmSync(join(path, '..'), { recursive: true })
  }
})
