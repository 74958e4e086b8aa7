/**
 * Disks that grow and appear while others are replicated and written to: real agent and replicator, loop devices, contents compared.
 */
import { truncate } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'
import type { StopWriting } from './writers.ts'
import { writeBlocks } from './writers.ts'

const mib = 2 ** 20
const idle: StopWriting = () => Promise.resolve()

/** `source`, each of whose reads is told. */
function watched(
  source: BlockSource,
  onRead: (offsetBytes: number, lengthBytes: number) => void,
): BlockSource {
  return {
    get deviceName() {
      return source.deviceName
    },
    identity: source.identity,
    get sizeBytes() {
      return source.sizeBytes
    },
    read: (offsetBytes, lengthBytes, into) => {
      onRead(offsetBytes, lengthBytes)
      return source.read(offsetBytes, lengthBytes, into)
    },
    currentSizeBytes: () => source.currentSizeBytes(),
    growTo: (sizeBytes) => source.growTo(sizeBytes),
    close: () => source.close(),
  }
}

describe.runIf(isRoot)('a disk', () => {
  const disks: LoopDisk[] = []
  let replicator: TestReplicator
  let test: TestEngine | undefined
  let stopWriting = idle

  beforeEach(async () => {
    replicator = await TestReplicator.start()
  })

  afterEach(async () => {
    await stopWriting()
    stopWriting = idle
    await test?.end()
    test = undefined
    await replicator.end()
    for (const disk of disks.splice(0)) await disk.remove()
  })

  async function makeDisk(sizeMiB: number): Promise<LoopDisk> {
    const disk = await LoopDisk.make(sizeMiB)
    disks.push(disk)
    return disk
  }

  /** What the gateway says once the volumes of these disks cover them. */
  async function want(run: TestEngine, sizes: readonly number[]): Promise<void> {
    run.assignment = replicator.assignment(sizes)
    await replicator.assign(run.assignment)
    const wanted = sizes.map((sizeBytes, diskIndex) => ({
      diskIndex,
      deviceName: disks[diskIndex]?.device ?? '',
      stableId: disks[diskIndex]?.device ?? '',
      volumeId: `vol-${diskIndex}`,
      sizeBytes,
    }))
    run.apply({ disks: wanted })
  }

  // A size that ends in the middle of a block: the last block becomes another one.
  it.each([32 * mib, 32 * mib + 4096])(
    'of %i bytes that grows goes on, and only what is new is read',
    async (before) => {
      const random = seededRandom(seedFor('growing disk'))
      const disk = await makeDisk(32)
      await disk.grow(before)
      await disk.write(0, randomBytesFrom(random, 8 * mib))
      await disk.write(before - 4096, randomBytesFrom(random, 4096))
      const reads: number[] = []
      test = await TestEngine.start(replicator, {
        disks: [{ deviceName: disk.device, sizeBytes: before }],
        wrapSource: (source) => watched(source, (offset) => reads.push(offset)),
      })
      const run = test
      await run.untilContinuous()
      await run.untilCaughtUp()
      const after = 64 * mib + 512
      await disk.grow(after)
      // Written before anybody knows that it has grown.
      await disk.write(before - 512, randomBytesFrom(random, 3 * mib))
      await run.untilCaughtUp()
      await expect(run.reachPoint('cp-1')).rejects.toThrow(/has grown from \d+ to \d+ bytes; wait until/)
      await truncate(replicator.volumePath(0), after)
      reads.length = 0
      await want(run, [after])
      await until('the disk is whole', () =>
        Promise.resolve(run.engine.report().disks[0]?.sizeBytes === after),
      )
      await disk.write(after - 70_000, randomBytesFrom(random, 60_000))
      await run.untilContinuous()
      await run.untilCaughtUp()
      expect(reads.filter((offset) => offset < before - 65_536)).toEqual([])
      expect(run.engine.report().disks[0]).toMatchObject({ rescans: 0, replicatedBytes: after })
      expect(await run.volumeDigest()).toBe(await disk.digest())
      await run.reachPoint('cp-2')
    },
  )

  // Volumes that end with a block, within one, and within a piece.
  it.each([32 * mib, 32 * mib + 8192, 32 * mib + 8192 + 512])(
    'that is larger than its volume of %i bytes when the agent starts again is followed up to there, and as a whole once the volume has grown',
    async (before) => {
      const random = seededRandom(seedFor('larger than its volume'))
      const after = 64 * mib + 512
      const disk = await makeDisk(32)
      await disk.grow(before)
      await disk.write(0, randomBytesFrom(random, 8 * mib))
      const options = { disks: [{ deviceName: disk.device, sizeBytes: before }] }
      const first = await TestEngine.start(replicator, options)
      test = first
      await first.untilContinuous()
      await first.untilCaughtUp()
      await first.stop()
      await disk.grow(after)
      const run = await TestEngine.start(replicator, {
        ...options,
        generation: 2,
        stateFolder: first.stateFolder,
      })
      test = run
      await run.untilContinuous()
      // Small ones far behind the end, right behind it and across it; a large one across it.
      for (const [offset, length] of [
        [before + 10 * mib, 4096],
        [before - (before % 4096) + 4096, 4096],
        [before - 512, 1024],
        [before - (before % 4096) - 8192, 16_384],
        [before - 100_000, 3 * mib],
      ] as const) {
        await disk.write(offset, randomBytesFrom(random, length))
        await run.untilCaughtUp()
      }
      expect(run.engine.report()).toMatchObject({ isConnected: true, backlogBytes: 0 })
      expect(run.logLines.filter((line) => line.includes('interrupted'))).toEqual([])
      expect(await run.volumeDigest()).toBe(await disk.digest(before))
      await truncate(replicator.volumePath(0), after)
      await want(run, [after])
      await until('the disk is whole', () =>
        Promise.resolve(run.engine.report().disks[0]?.replicatedBytes === after),
      )
      await run.untilContinuous()
      await run.untilCaughtUp()
      expect(await run.volumeDigest()).toBe(await disk.digest())
      await run.reachPoint('cp-1')
    },
  )

  it('that grows while it is copied for the first time is copied as a whole', async () => {
    const random = seededRandom(seedFor('growing first copy'))
    const disk = await makeDisk(32)
    await disk.write(0, randomBytesFrom(random, 24 * mib))
    let isSlow = true
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes: 32 * mib }],
      wrapSource: (source) => ({
        ...watched(source, () => undefined),
        read: async (offsetBytes, lengthBytes, into) => {
          if (isSlow) await new Promise((resolve) => setTimeout(resolve, 20))
          await source.read(offsetBytes, lengthBytes, into)
        },
      }),
    })
    const run = test
    stopWriting = writeBlocks(disk.device, 32 * mib, random)
    await until('some of it is copied', () =>
      Promise.resolve((run.engine.report().disks[0]?.scannedBytes ?? 0) >= 16 * mib),
    )
    // The volume holds other bytes where it has grown, which nobody may take for zeros.
    await disk.grow(40 * mib)
    await truncate(replicator.volumePath(0), 40 * mib)
    await want(run, [40 * mib])
    isSlow = false
    await run.untilContinuous()
    await stopWriting()
    stopWriting = idle
    await run.untilCaughtUp()
    expect(await run.volumeDigest()).toBe(await disk.digest())
  })

  it('that joins is copied while another is compared, and a third goes on without being read again', async () => {
    const random = seededRandom(seedFor('joining disk'))
    const [first, second] = [await makeDisk(16), await makeDisk(16)]
    for (const disk of [first, second]) await disk.write(0, randomBytesFrom(random, 10 * mib))
    const reads = new Map<string, number>()
    const sizes = [16 * mib, 16 * mib]
    test = await TestEngine.start(replicator, {
      disks: disks.map(({ device }, index) => ({ deviceName: device, sizeBytes: sizes[index] ?? 0 })),
      wrapSource: (source) =>
        watched(source, () => reads.set(source.deviceName, (reads.get(source.deviceName) ?? 0) + 1)),
    })
    const run = test
    await run.untilContinuous()
    await run.untilCaughtUp()
    const third = await makeDisk(16)
    await third.write(0, randomBytesFrom(random, 10 * mib))
    makeSparseFile(replicator.volumePath(2), 16 * mib)
    reads.clear()
    stopWriting = writeBlocks(second.device, 16 * mib, random)
    await want(run, [...sizes, 16 * mib])
    await run.untilContinuous()
    await stopWriting()
    stopWriting = idle
    await run.untilCaughtUp()
    expect(run.engine.report().disks.map(({ rescans }) => rescans)).toEqual([0, 0, 0])
    expect(reads.get(first.device) ?? 0).toBe(0)
    for (const [index, disk] of disks.entries())
      expect(await run.volumeDigest(index)).toBe(await disk.digest())
    await run.reachPoint('cp-1')
  })
})
