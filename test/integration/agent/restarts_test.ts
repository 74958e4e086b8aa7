import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'
import type { StopWriting } from './writers.ts'
import { writeBlocks } from './writers.ts'

const sizeMiB = 64
const sizeBytes = sizeMiB * 2 ** 20
const idle: StopWriting = () => Promise.resolve()

describe.runIf(isRoot)('the agent on a bare block device', () => {
  let disk: LoopDisk
  let replicator: TestReplicator
  let test: TestEngine | undefined
  let stopWriting = idle

  beforeEach(async () => {
    disk = await LoopDisk.make(sizeMiB)
    replicator = await TestReplicator.start()
  })

  afterEach(async () => {
    await stopWriting()
    stopWriting = idle
    await test?.end()
    test = undefined
    await replicator.end()
    await disk.remove()
  })

  /** Stops writing and compares. */
  async function expectIdentical(): Promise<void> {
    await stopWriting()
    stopWriting = idle
    await test?.untilCaughtUp()
    expect(await test?.volumeDigest()).toBe(await disk.digest())
  }

  it('catches up with random writes and discards, and reaches a quiet point', async () => {
    const random = seededRandom(seedFor('random writes'))
    await disk.write(0, randomBytesFrom(random, 10 * 2 ** 20))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    stopWriting = writeBlocks(disk.device, sizeBytes, random)
    await test.untilContinuous()
    await disk.discard(2 ** 20, 2 ** 20)
    await disk.discard(5 * 2 ** 20 + 4096, 128 * 1024)
    await sleep(500)
    await stopWriting()
    const reached = await test.reachPoint('cp-1')
    expect(reached.method).toBe('QUIET')
    expect(await test.volumeDigest()).toBe(await disk.digest())
    await test.releasePoint('cp-1')
  })

  it('sends only what differs after a restart of the agent in the middle of the initial sync', async () => {
    const random = seededRandom(seedFor('agent restart'))
    await disk.write(0, randomBytesFrom(random, 48 * 2 ** 20))
    stopWriting = writeBlocks(disk.device, sizeBytes, random, 10)
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes }],
      generation: 1,
    })
    const first = test
    first.apply({ throttleBitsPerSecond: 200_000_000 })
    await until(
      'half is copied',
      () => Promise.resolve((first.engine.report().disks[0]?.replicatedBytes ?? 0) > sizeBytes / 2),
      60_000,
      10,
    )
    await first.stop()
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes }],
      generation: 2,
      stateFolder: first.stateFolder,
    })
    await test.untilContinuous()
    expect(first.engine.report().sentBytes + test.engine.report().sentBytes).toBeLessThan(48 * 2 ** 20 * 1.5)
    await expectIdentical()
  })

  it('compares nothing after a restart, and sends what changed while the agent was off', async () => {
    const random = seededRandom(seedFor('no rescan'))
    await disk.write(0, randomBytesFrom(random, 48 * 2 ** 20))
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes }],
      generation: 1,
    })
    await test.untilContinuous()
    await sleep(1100)
    const { stateFolder } = test
    await test.stop()
    await disk.write(7 * 65_536, randomBytesFrom(random, 65_536))
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes }],
      generation: 2,
      stateFolder,
    })
    await test.untilContinuous()
    await test.untilCaughtUp()
    expect(test.engine.report().sentBytes).toBe(65_536)
    expect(test.engine.report().disks[0]?.rescans).toBe(0)
    await expectIdentical()
  })

  it('loses nothing in a storm of disconnects', async () => {
    const random = seededRandom(seedFor('disconnects'))
    await disk.write(0, randomBytesFrom(random, 24 * 2 ** 20))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    stopWriting = writeBlocks(disk.device, sizeBytes, random)
    for (let count = 0; count < 12; count++) {
      await sleep(randomInt(random, 50, 500))
      replicator.listener.destroyAll()
    }
    await test.untilContinuous()
    await expectIdentical()
    expect(test.engine.report().disks[0]?.rescans).toBe(0)
  })

  it('goes on after the replicator was killed and started again', async () => {
    const random = seededRandom(seedFor('replicator killed'))
    await disk.write(0, randomBytesFrom(random, 24 * 2 ** 20))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    stopWriting = writeBlocks(disk.device, sizeBytes, random)
    for (let count = 0; count < 3; count++) {
      await sleep(randomInt(random, 100, 900))
      await replicator.kill()
      await replicator.open()
      await replicator.assign(test.assignment)
      test.apply({
        replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port: replicator.listener.port },
      })
    }
    await test.untilContinuous()
    await expectIdentical()
  })

  it('keeps track of changes while paused, and needs no comparison afterwards', async () => {
    const random = seededRandom(seedFor('pause'))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    await test.untilContinuous()
    test.apply({ mode: 'PAUSE' })
    const paused = test
    await until('it is paused', () => Promise.resolve(paused.engine.report().state === 'PAUSED'), 10_000, 20)
    await disk.write(3 * 65_536, randomBytesFrom(random, 200_000))
    test.apply({ mode: 'REPLICATE' })
    await test.untilContinuous()
    await test.untilCaughtUp()
    expect(test.engine.report().disks[0]?.rescans).toBe(0)
    expect(await test.volumeDigest()).toBe(await disk.digest())
  })

  it('compares every disk when the operator asks for a rescan', async () => {
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    await test.untilContinuous()
    test.apply({ rescanEpoch: 1 })
    await test.untilCaughtUp()
    expect(test.engine.report().rescanEpoch).toBe(1)
    expect(test.engine.report().disks[0]?.rescans).toBe(1)
  })

  it('copies two disks to one moment', async () => {
    const random = seededRandom(seedFor('two disks'))
    const other = await LoopDisk.make(16)
    try {
      await disk.write(0, randomBytesFrom(random, 2 ** 20))
      await other.write(0, randomBytesFrom(random, 2 ** 20))
      test = await TestEngine.start(replicator, {
        disks: [
          { deviceName: disk.device, sizeBytes },
          { deviceName: other.device, sizeBytes: 16 * 2 ** 20 },
        ],
      })
      await test.untilContinuous()
      await disk.write(sizeBytes - 512, Buffer.alloc(512, 1))
      await other.write(0, Buffer.alloc(512, 2))
      await test.reachPoint('cp-1')
      expect(await test.volumeDigest(0)).toBe(await disk.digest())
      expect(await test.volumeDigest(1)).toBe(await other.digest())
      await test.releasePoint('cp-1')
      await test.stop()
    } finally {
      await other.remove()
    }
  })
})
