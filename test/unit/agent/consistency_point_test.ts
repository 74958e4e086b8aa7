import { describe, expect, it } from 'vitest'
import { reachPoint } from '../../../agent/consistency/consistency_point.ts'
import { newTally } from '../../../agent/consistency/point_context.ts'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { LineLog } from '../../../agent/log.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import type { ExtentToSend, Sender } from '../../../agent/sync/sender.ts'
import { sweep } from '../../../agent/sync/sweep.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

/** Asks for a point over one disk that is copied already and on which nothing can be frozen. */
function makePoint() {
  const clock = new FakeClock()
  const { disk, source } = memoryDisk(0, 32)
  const reader = new Reader({ pool: new AlignedPool(4), clock, onUnreadable: () => undefined })
  const sent: number[] = []
  const sender = {
    maxBlocksPerExtent: 16,
    extentsAtOnce: 4,
    sendExtent: (extent: ExtentToSend) => {
      sent.push(extent.firstBlock)
      return Promise.resolve()
    },
    allAcknowledged: () => Promise.resolve(),
  } as unknown as Sender
  const tally = newTally()
  const reach = () =>
    reachPoint(
      {
        disks: [disk],
        sender,
        reader,
        clock,
        log: new LineLog({ write: () => undefined }, () => 0),
        run: () => Promise.resolve(''),
        planFreeze: () => Promise.resolve(undefined),
        findHooks: () => Promise.resolve({ preFreeze: ['/hooks/stop'], postThaw: [] }),
        tally,
        note: () => undefined,
        drain: () => Promise.resolve(true),
        sweep: () => sweep([disk], sender, reader),
        pass: () => Promise.resolve(0),
        isWanted: () => true,
      },
      {
        consistencyPointId: 'cp-1',
        maxFreezeMs: 5000,
        deadlineMs: clock.now + 60_000,
        hold: true,
        isScheduled: false,
        hooks: { timeoutSeconds: 1, holdSeconds: 1, onFailure: 'FAIL' },
      },
    )
  return { disk, source, sent, tally, reach }
}

describe('reachPoint() at a quiet moment', () => {
  it('is reached once everything that changed is sent', async () => {
    const { disk, sent, tally, reach } = makePoint()
    disk.dirty.mark(5, 1)
    expect(await reach()).toEqual({ consistencyPointId: 'cp-1', hold: true, method: 'QUIET', frozenMs: 0 })
    expect(sent).toEqual([5])
    // Nothing was frozen, so no hook was run, and that shows.
    expect(tally).toMatchObject({ freezes: 0, hooks: 'NOT_RUN' })
  })

  it('is refused when the very last sweep meets a sector that cannot be read', async () => {
    const { disk, source, sent, reach } = makePoint()
    const bad = 5 * blockSizeBytes
    source.failure = (offset) => (offset === bad ? new UnreadableSectorError('/dev/disk0', bad) : undefined)
    disk.dirty.mark(4, 3)
    await expect(reach()).rejects.toThrow('Cannot read sector 640 of /dev/disk0; without it no copy is whole')
    expect(sent).toEqual([4, 6])
    source.failure = () => undefined
    disk.dirty.mark(5, 1)
    expect(await reach()).toMatchObject({ method: 'QUIET' })
    expect(sent).toEqual([4, 6, 5])
  })
})
