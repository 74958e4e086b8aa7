import { afterEach, describe, expect, it, vi } from 'vitest'
import { PointKeeper } from '../../../agent/consistency/point_keeper.ts'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { LineLog } from '../../../agent/log.ts'
import { Certainty } from '../../../agent/sync/certainty.ts'
import type { DiskSet } from '../../../agent/sync/disk_set.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import { Progress } from '../../../agent/sync/progress.ts'
import type { SentExtent } from '../../../agent/sync/outstanding.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { Yielding } from '../../../agent/sync/yielding.ts'
import { Scanner } from '../../../agent/sync/scanner.ts'
import type { ExtentToSend, Sender } from '../../../agent/sync/sender.ts'
import { Session } from '../../../agent/sync/session.ts'
import { Verification } from '../../../agent/sync/verification.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'
import { CountingTrace } from './counting_trace.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TracefsTracker } from '../../../agent/tracking/tracefs_tracker.ts'

/** A session over one disk that is copied already, and others besides, with a far end that acknowledges at once. */
function makeSession(blocks = 32, others: DiskSync[] = []) {
  const clock = new FakeClock()
  const { disk, source } = memoryDisk(0, blocks)
  disk.learnContents('EMPTY', false, clock.now)
  if (disk.scan !== undefined) disk.scan.cursor = disk.blockCount
  disk.finishScan(clock.now)
  const sent: number[] = []
  const damaged: SentExtent[] = []
  const notes: string[] = []
  const sender = {
    failure: undefined,
    maxBlocksPerExtent: 16,
    extentsAtOnce: 4,
    maxPiecesPerFrame: 256,
    laneOf: () => 0,
    adapt: () => Promise.resolve(),
    sendExtent: (extent: ExtentToSend) => {
      sent.push(extent.firstBlock)
      return Promise.resolve()
    },
    allAcknowledged: () => Promise.resolve(),
    takeDamaged: () => damaged.splice(0),
  } as unknown as Sender
  const pool = new AlignedPool(4)
  const reader = new Reader({ pool, clock, onUnreadable: () => undefined })
  const certainty = new Certainty(clock)
  const session = new Session(
    {
      clock,
      log: new LineLog({ write: () => undefined }, () => 0),
      run: () => Promise.resolve(''),
      disks: { all: [disk, ...others], stopped: [], check: () => Promise.resolve() } as unknown as DiskSet,
      reader,
      scanner: new Scanner({ reader, pool, clock }),
      certainty,
      points: new PointKeeper(clock),
      yielding: new Yielding(clock),
      progress: new Progress(clock, new Meter(clock)),
      verification: new Verification(),
      planFreeze: () => Promise.resolve(undefined),
      findHooks: () => Promise.resolve({ preFreeze: [], postThaw: [] }),
      note: (_level, message) => notes.push(message),
      counters: { sentBytes: 0 },
      onChange: () => undefined,
      onTurn: () => undefined,
    },
    sender,
    new AbortController().signal,
  )
  return { clock, disk, source, sent, certainty, session, damaged, notes }
}

/** Trackers of so many disks that share one trace of the kernel. Its timer stands still. */
async function trackedDisks(count: number): Promise<{ trackers: TracefsTracker[]; trace: CountingTrace }> {
  vi.useFakeTimers({ toFake: ['setInterval'] })
  const trace = new CountingTrace()
  const hub = new TraceHub(new FakeClock(), { kernel: trace.kernel })
  const room = new PieceRoom()
  const trackers = Array.from({ length: count }, (_, minor) => {
    const device = { major: 8, minor }
    return new TracefsTracker({ hub, device, sizeBytes: 32 * 65_536, reason: 'test', room })
  })
  for (const tracker of trackers) await tracker.start()
  return { trackers, trace }
}

afterEach(() => void vi.useRealTimers())

describe('Session', () => {
  it('is certain of everything up to the begin of a turn whose blocks are all durable', async () => {
    const { clock, disk, sent, certainty, session } = makeSession()
    disk.dirty.mark(3, 2)
    await session.turn()
    expect(sent).toEqual([3])
    clock.now += 70
    expect(certainty.lagMs()).toBe(70)
  })

  it('reads what the kernel tells once in a turn, however many disks there are', async () => {
    const { trackers, trace } = await trackedDisks(50)
    const disks = trackers.map((tracker, index) => {
      const { source } = memoryDisk(index + 1, 32)
      const own = { diskIndex: index + 1, volumeId: `vol-${index + 1}`, sizeBytes: source.sizeBytes }
      return new DiskSync({ ...own, source, tracker })
    })
    const { session } = makeSession(32, disks)
    // The first look ever checks too.
    await session.drain(false)
    for (let minor = 0; minor < 50; minor++) trace.completed({ major: 8, minor }, minor * 128)
    const before = { ...trace.counts }
    expect(await session.drain(false)).toBe(true)
    expect(trace.counts).toEqual({ reads: before.reads + 1, checks: before.checks })
    expect(disks.map((disk) => [...disk.dirty.touchedBlocks()])).toEqual(
      disks.map((_, index) => (index < 32 ? [{ firstBlock: index, blockCount: 1 }] : [])),
    )
    await session.drain(true)
    await session.drain(true)
    expect(trace.counts).toEqual({ reads: before.reads + 3, checks: before.checks + 2 })
  })

  it('lets a few changes gather before the next turn, and goes straight on after many', async () => {
    const { disk, session } = makeSession(80)
    disk.dirty.mark(0, 65)
    expect(await session.turn()).toBe(false)
    disk.dirty.mark(0, 64)
    expect(await session.turn()).toBe(true)
    expect(await session.turn()).toBe(true)
  })

  it('sends blocks again that are damaged in the copy, and tells of each place once', async () => {
    const { sent, session, damaged, notes } = makeSession()
    const extent = { diskIndex: 0, firstBlock: 5, blockCount: 2 }
    damaged.push(extent, { diskIndex: 9, firstBlock: 1, blockCount: 1 })
    await session.turn()
    damaged.push(extent)
    await session.turn()
    expect(sent).toEqual([5, 5])
    expect(notes).toEqual([
      'The copy of /dev/disk0 is damaged at byte 327680 (131072 bytes): it is sent again',
    ])
  })

  it('claims nothing in the very turn in which a sector turns out to be unreadable', async () => {
    const { clock, disk, source, sent, certainty, session } = makeSession()
    const bad = 3 * 65_536
    source.failure = (offset) => (offset === bad ? new UnreadableSectorError('/dev/disk0', bad) : undefined)
    disk.dirty.mark(2, 3)
    await session.turn()
    expect(sent).toEqual([2, 4])
    expect(certainty.lagMs()).toBeNull()
    await session.turn()
    expect(certainty.lagMs()).toBeNull()
    source.failure = () => undefined
    clock.now += 30_000
    await session.turn()
    expect(sent).toEqual([2, 4, 3])
    expect(certainty.lagMs()).toBe(0)
  })

  it('claims nothing in a turn during which a rescan was asked for', async () => {
    const { clock, disk, certainty, session } = makeSession()
    disk.dirty.mark(3, 1)
    const turn = session.turn()
    disk.loseCertainty(clock.now)
    // The rescan itself ends in this turn or a later one; what matters is that the sweep before it vouches for nothing.
    await turn.catch(() => undefined)
    expect(certainty.lagMs()).toBeNull()
  })
})
