import { mkdtempSync, rmSync } from 'node:fs'
import { open, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { digestOf } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'
import type { StopWriting } from './writers.ts'
import { writeBlocks } from './writers.ts'

const sizeBytes = 20 * 2 ** 20 + 512 * 3
const idle: StopWriting = () => Promise.resolve()

describe('the agent on a disk image', () => {
  let folder: string
  let image: string
  let replicator: TestReplicator
  let test: TestEngine | undefined
  let stopWriting = idle

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-image-'))
    image = join(folder, 'disk.img')
    const random = seededRandom(seedFor('image'))
    await writeFile(image, randomBytesFrom(random, 8 * 2 ** 20))
    await truncate(image, sizeBytes)
    replicator = await TestReplicator.start()
  })

  afterEach(async () => {
    await stopWriting()
    stopWriting = idle
    await test?.end()
    test = undefined
    await replicator.end()
    rmSync(folder, { recursive: true, force: true })
  })

  const disks = () => [{ deviceName: image, sizeBytes }]

  it('is tracked by comparing, says why, and follows changes', async () => {
    const random = seededRandom(seedFor('image changes'))
    test = await TestEngine.start(replicator, { disks: disks() })
    stopWriting = writeBlocks(image, sizeBytes, random, 20)
    await test.untilContinuous()
    expect(test.engine.report().disks[0]?.tracker).toMatchObject({
      kind: 'scan',
      reason: expect.stringContaining('It is a file'),
    })
    await stopWriting()
    await test.untilCaughtUp()
    expect(await test.volumeDigest()).toBe(await digestOf(image))
  })

  it('reaches a point after two passes without a difference', async () => {
    test = await TestEngine.start(replicator, { disks: disks() })
    await test.untilContinuous()
    const handle = await open(image, 'r+')
    await handle.write(Buffer.alloc(512, 7), 0, 512, sizeBytes - 512)
    await handle.close()
    expect(await test.reachPoint('cp-1')).toMatchObject({ method: 'QUIET', frozenMs: 0 })
    expect(await test.volumeDigest()).toBe(await digestOf(image))
    await test.releasePoint('cp-1')
  })

  it('says that the disk is never quiet when it changes all the time', async () => {
    const random = seededRandom(seedFor('restless image'))
    test = await TestEngine.start(replicator, { disks: disks() })
    await test.untilContinuous()
    stopWriting = writeBlocks(image, sizeBytes, random, 0)
    await expect(test.reachPoint('cp-1', 5000, 5)).rejects.toThrow(
      /not reached in time: the disks changed in every one of \d+ looks/,
    )
    await stopWriting()
    expect(await test.reachPoint('cp-2')).toMatchObject({ method: 'QUIET' })
    expect(await test.volumeDigest()).toBe(await digestOf(image))
    await test.releasePoint('cp-2')
  })

  it('copies everything but an unreadable block, never becomes ready, and does once the sector can be read', async () => {
    const badBlock = 5
    let isBad = true
    const withBadSector = (source: BlockSource): BlockSource => ({
      deviceName: source.deviceName,
      identity: source.identity,
      sizeBytes: source.sizeBytes,
      currentSizeBytes: () => source.currentSizeBytes(),
      growTo: (bytes) => source.growTo(bytes),
      close: () => source.close(),
      read: (offset, length, into) => {
        const bad = badBlock * 65_536 + 8192
        if (isBad && offset <= bad && bad < offset + length)
          throw new UnreadableSectorError(source.deviceName, bad)
        return source.read(offset, length, into)
      },
    })
    test = await TestEngine.start(replicator, { disks: disks(), wrapSource: withBadSector })
    const run = test
    await until('the fault is told', () => Promise.resolve(run.engine.report().error), 20_000, 20)
    const { error, state, lagMs } = run.engine.report()
    expect(error).toMatchObject({
      error: 'NOT_CONVERGING',
      rawError: `Cannot read sector ${(badBlock * 65_536 + 8192) / 512} of ${image}`,
    })
    expect(error?.whatToDo).toContain('smartctl')
    expect(lagMs).toBeNull()
    expect(state).not.toBe('CONTINUOUS')
    await expect(test.reachPoint('cp-1', 5000, 10)).rejects.toThrow(
      /Cannot read sector|still being compared|cannot be read/,
    )
    const copy = await open(replicator.volumePath(0))
    const { buffer } = await copy.read(Buffer.alloc(65_536, 1), 0, 65_536, badBlock * 65_536)
    await copy.close()
    expect(buffer.equals(Buffer.alloc(65_536))).toBe(true)
    isBad = false
    const { consistencyPoint: _, ...rest } = test.desired
    test.desired = rest
    test.apply()
    await test.untilContinuous(60_000)
    expect(test.engine.report().error).toBeUndefined()
    expect(await test.volumeDigest()).toBe(await digestOf(image))
  })

  it('stops at a disk that has become smaller, in a sentence, and copies nothing of it any more', async () => {
    test = await TestEngine.start(replicator, { disks: disks() })
    await test.untilContinuous()
    await truncate(image, sizeBytes - 2 ** 20)
    const run = test
    const error = await until(
      'the fault is told',
      () => Promise.resolve(run.engine.report().error),
      20_000,
      20,
    )
    expect(error.error).toBe('UNSUPPORTED_VM_CONFIGURATION')
    expect(error.whatToDo).toContain('disconnect the server and add it again')
    await until('it is stalled', () => Promise.resolve(run.engine.report().state === 'STALLED'), 10_000, 20)
  })

  it('says that a disk has vanished, and goes on when it is back', async () => {
    test = await TestEngine.start(replicator, { disks: disks() })
    await test.untilContinuous()
    const run = test
    const { rename } = await import('node:fs/promises')
    await rename(image, `${image}.away`)
    const error = await until(
      'the fault is told',
      () => Promise.resolve(run.engine.report().error),
      20_000,
      20,
    )
    expect(error.rawError).toMatch(/is not there any more|does not exist/)
    await rename(`${image}.away`, image)
    await test.untilContinuous(90_000)
    expect(test.engine.report().error).toBeUndefined()
  })

  it('sends blocks to no other replicator than the one named', async () => {
    test = await TestEngine.start(replicator, { disks: disks() })
    await test.untilContinuous()
    test.apply({
      replicator: { replicationServerId: 'i-2', address: '127.0.0.1', port: replicator.listener.port },
    })
    const run = test
    const error = await until(
      'the refusal is told',
      () => Promise.resolve(run.engine.report().error),
      20_000,
      20,
    )
    expect(error.rawError).toContain('instead of rehost://replication-server/i-2')
  })

  it('lets throttling hold it back', async () => {
    test = await TestEngine.start(replicator, { disks: disks(), context: {} })
    test.apply({ throttleBitsPerSecond: 8_000_000 })
    const begin = Date.now()
    await test.untilContinuous()
    // 8 MiB of random data, one of which may go in a burst, at a million bytes a second.
    expect(Date.now() - begin).toBeGreaterThan(5000)
  })
})
