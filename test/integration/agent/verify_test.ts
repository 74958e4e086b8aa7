import { open } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { VerifiedDisk } from '../../../domain/verified_disk.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'
import type { StopWriting } from './writers.ts'
import { writeBlocks } from './writers.ts'

/** Long runs: REHOST_LONG=1. The small disk is of two parts, the last of them a short one. */
const isLong = process.env['REHOST_LONG'] === '1'
const sizeMiB = isLong ? 64 : 24
const roundsAtOnce = isLong ? 20 : 3
const sizeBytes = sizeMiB * 2 ** 20
/** The writer keeps to the first half, so that it is known which blocks stay damaged until they are repaired. */
const writtenBytes = sizeBytes / 2
const idle: StopWriting = () => Promise.resolve()

/** Changes one byte of a file behind everybody's back. */
async function flip(path: string, offset: number): Promise<void> {
  const handle = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, offset)
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 0x40]), 0, 1, offset)
  await handle.close()
}

describe.runIf(isRoot)('verification of a running server', () => {
  let disk: LoopDisk
  let replicator: TestReplicator
  let test: TestEngine
  let stopWriting = idle
  let random: () => number
  let epoch = 0

  beforeEach(async () => {
    random = seededRandom(seedFor('verification'))
    epoch = 0
    disk = await LoopDisk.make(sizeMiB)
    await disk.write(0, randomBytesFrom(random, (sizeBytes * 3) / 4))
    replicator = await TestReplicator.start()
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    stopWriting = writeBlocks(disk.device, writtenBytes, random, 0)
    await test.untilContinuous()
  })

  afterEach(async () => {
    await stopWriting()
    stopWriting = idle
    await test.end()
    await replicator.end()
    await disk.remove()
  })

  async function verify(): Promise<VerifiedDisk> {
    epoch += 1
    test.apply({ verifyEpoch: epoch })
    const report = await until(
      'the copy is verified',
      () => {
        const { verification } = test.engine.report()
        return Promise.resolve(
          verification?.isDone === true && verification.verifyEpoch === epoch ? verification : undefined,
        )
      },
      60_000,
      20,
    )
    const [own] = report.disks
    if (own === undefined) throw new Error('Nothing was reported')
    return own
  }

  async function expectIdentical(): Promise<void> {
    await stopWriting()
    stopWriting = idle
    await test.untilCaughtUp()
    expect(await test.volumeDigest()).toBe(await disk.digest())
  }

  it('finds nothing, again and again, while blocks are written as fast as they can be', async () => {
    for (let round = 0; round < roundsAtOnce; round++) {
      const report = await verify()
      expect(report).toMatchObject({
        checkedBytes: sizeBytes,
        differingBlocks: 0,
        unreadableBlocks: 0,
        differences: [],
      })
      expect(report.sourceRoot).toMatch(/^[0-9a-f]{64}$/)
      expect(report.replicaRoot).toBe(report.sourceRoot)
    }
    expect(test.engine.report().disks[0]?.rescans).toBe(0)
    await expectIdentical()
  })

  it('names flipped bytes exactly, in the volume and in its index, and repairs them', async () => {
    const first = writtenBytes / blockSizeBytes
    const blocks = new Set(
      Array.from({ length: 6 }, () => randomInt(random, first, sizeBytes / blockSizeBytes - 1)),
    )
    for (const block of blocks)
      await flip(replicator.volumePath(0), block * blockSizeBytes + randomInt(random, 0, blockSizeBytes - 1))
    const wrongIndex = first + 1
    if (!blocks.has(wrongIndex))
      await flip(`${replicator.folder}/state/volumes/vol-0/hashes`, wrongIndex * 32 + 3)
    const expected = [...new Set([...blocks, wrongIndex])].sort((left, right) => left - right)
    const report = await verify()
    expect(
      report.differences.flatMap(({ offsetBytes, lengthBytes }) =>
        Array.from(
          { length: lengthBytes / blockSizeBytes },
          (_, index) => offsetBytes / blockSizeBytes + index,
        ),
      ),
    ).toEqual(expected)
    expect(report).toMatchObject({
      differingBlocks: expected.length,
      damagedBlocks: expected.length,
      repairedBlocks: expected.length,
    })
    expect(report.replicaRoot).toBe(report.sourceRoot)
    expect(await verify()).toMatchObject({ differingBlocks: 0 })
    await expectIdentical()
  })

  it('goes on after a lost connection', async () => {
    await flip(replicator.volumePath(0), sizeBytes - 1)
    epoch += 1
    test.apply({ verifyEpoch: epoch })
    await until(
      'some of it is verified',
      () => Promise.resolve((test.engine.report().verification?.disks[0]?.checkedBytes ?? 0) > 0),
      30_000,
      1,
    )
    replicator.listener.destroyAll()
    epoch -= 1
    expect(await verify()).toMatchObject({ checkedBytes: sizeBytes, differingBlocks: 1, repairedBlocks: 1 })
    await expectIdentical()
  })

  it('repairs what the replication server found by itself', async () => {
    const block = sizeBytes / blockSizeBytes - 3
    await flip(replicator.volumePath(0), block * blockSizeBytes)
    const [server] = replicator.registry.servers
    const found = await server?.scrub.read('vol-0', block - 2, 5)
    expect(found).toEqual([{ firstBlock: block, blockCount: 1 }])
    await until(
      'the damage is repaired',
      () => Promise.resolve(server?.scrub.damagedBlocks === 0),
      30_000,
      50,
    )
    expect(test.logLines.join('\n')).toContain(
      `is damaged at byte ${block * blockSizeBytes} (65536 bytes): it is sent again`,
    )
    await expectIdentical()
    expect(await verify()).toMatchObject({ differingBlocks: 0 })
  })
})
