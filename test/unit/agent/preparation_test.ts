import { describe, expect, it } from 'vitest'
import type { PointRequest } from '../../../agent/consistency/point_context.ts'
import { Preparation } from '../../../agent/consistency/preparation.ts'
import type { UnreadBlocks } from '../../../domain/unread_blocks.ts'
import { FakeClock } from './fake_clock.ts'

const bytesPerSecond = 200e6

/** A point that is asked for now, with 120 s to go, and a replicator with so many seconds to read. */
function prepare(changes: Partial<PointRequest>) {
  const clock = new FakeClock()
  const far = { seconds: 0, asked: [] as number[] }
  const ask = (): Promise<UnreadBlocks> => {
    far.asked.push(clock.now)
    return Promise.resolve({ unknownBytes: far.seconds * bytesPerSecond, bytesPerSecond })
  }
  const preparation = new Preparation({ clock, ask })
  const request: PointRequest = {
    consistencyPointId: 'cp-1',
    maxFreezeMs: 1000,
    hold: false,
    isScheduled: true,
    hooks: { timeoutSeconds: 1, holdSeconds: 1, onFailure: 'FAIL' },
    deadlineMs: clock.now + 120_000,
    ...changes,
  }
  /** Looks at once, or `seconds` later, then lets the answer come. */
  const look = async (seconds = 0): Promise<boolean> => {
    clock.now += seconds * 1000
    const isReady = preparation.isReady(request)
    await Promise.resolve()
    return isReady
  }
  return { look, far, request, preparation }
}

describe('Preparation', () => {
  it('lets a point wait until what is left may be read behind its barrier, and asks once a second', async () => {
    const { look, far } = prepare({})
    far.seconds = 60
    expect(await look()).toBe(false)
    expect(await look(0.1)).toBe(false)
    far.seconds = 4.9
    expect(await look(0.8)).toBe(false)
    expect(far.asked).toHaveLength(1)
    expect(await look(0.1)).toBe(false)
    expect(far.asked).toHaveLength(2)
    expect(await look(0.1)).toBe(true)
  })

  it('gives a point by the policy up when its time is over, with the figures', async () => {
    const { look, far } = prepare({})
    far.seconds = 2700
    await look()
    expect(await look(119)).toBe(false)
    await expect(look(1)).rejects.toThrow(
      '502.91 GiB of the copy, written in small pieces or when the replication server ended without warning, are still to be read, ' +
        'at 200 MB/s; it would hold replication back for 2700 s, and at most 10 s are allowed.',
    )
  })

  it('says of a replicator that does not answer that it does not', () => {
    const { request } = prepare({})
    const clock = new FakeClock()
    const preparation = new Preparation({ clock, ask: () => new Promise(() => undefined) })
    expect(preparation.isReady(request)).toBe(false)
    clock.now += 120_000
    expect(() => preparation.isReady(request)).toThrow('has not said in time what it still has to read')
  })

  it('makes a launch wait for half of its time at most, and not at all in vain', async () => {
    const launch = { hold: true, isScheduled: false }
    const slow = prepare(launch)
    slow.far.seconds = 50
    await slow.look()
    // Writes keep what is left as large as it is.
    expect(await slow.look(14)).toBe(false)
    expect(await slow.look(2)).toBe(true)
    const hopeless = prepare(launch)
    hopeless.far.seconds = 2700
    await hopeless.look()
    expect(await hopeless.look(0.1)).toBe(true)
  })

  it('begins anew for another point', async () => {
    const { look, far, preparation, request } = prepare({})
    await look()
    expect(await look(0.1)).toBe(true)
    far.seconds = 60
    expect(preparation.isReady({ ...request, consistencyPointId: 'cp-2' })).toBe(false)
    expect(far.asked).toHaveLength(2)
  })
})
