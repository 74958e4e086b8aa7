import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'
import type { StopWriting } from './writers.ts'
import { writeFiles } from './writers.ts'

const run = promisify(execFile)
const sizeMiB = 96
const sizeBytes = sizeMiB * 2 ** 20

/** Nothing is written. */
const idle: StopWriting = () => Promise.resolve()

/** Name and digest of every file in a folder. */
async function listing(folder: string): Promise<string> {
  const { stdout } = await run('sh', [
    '-c',
    'cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2',
    'sh',
    folder,
  ])
  return stdout
}

/** Checks a copy of a volume's file system, mounts the copy, and lists its files. */
async function filesOfVolume(image: string): Promise<string> {
  const copy = `${image}.check`
  const mountPoint = `${image}.mounted`
  await run('cp', ['--sparse=always', image, copy])
  // 0: nothing to repair; 1: only the journal was replayed.
  await run('e2fsck', ['-fp', copy]).catch((error: unknown) => {
    if ((error as { code?: number }).code !== 1) throw error
  })
  await mkdir(mountPoint)
  await run('mount', ['-o', 'loop,ro', copy, mountPoint])
  try {
    return await listing(mountPoint)
  } finally {
    await run('umount', [mountPoint])
  }
}

describe.runIf(isRoot)('the agent on a mounted file system', () => {
  let disk: LoopDisk
  let replicator: TestReplicator
  let test: TestEngine | undefined
  let stopWriting = idle

  beforeEach(async () => {
    disk = await LoopDisk.make(sizeMiB)
    await disk.mount()
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

  it('copies it while it is written, holds a frozen point, and is identical after unmounting', async () => {
    const random = seededRandom(seedFor('frozen point'))
    await writeFile(join(disk.mountPoint, 'before'), randomBytesFrom(random, 20_000_000))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    stopWriting = writeFiles(disk.mountPoint, random)
    await test.untilContinuous()
    expect(test.engine.report().disks[0]?.tracker.kind).toBe('tracefs')

    const reached = await test.reachPoint('cp-1')
    expect(reached.method).toBe('FROZEN')
    expect(reached.frozenMs).toBeGreaterThan(0)
    const atPoint = await test.volumeDigest()
    await filesOfVolume(replicator.volumePath(0))
    await stopWriting()
    await run('sync', ['-f', disk.mountPoint])
    // Later writes are held back, so the copy stays as it was at the point.
    expect(await test.volumeDigest()).toBe(atPoint)

    await test.releasePoint('cp-1')
    await disk.unmount()
    await test.untilCaughtUp()
    expect(await test.volumeDigest()).toBe(await disk.digest())
  })

  it('has every file at the point that was written before it, though nothing was flushed', async () => {
    const random = seededRandom(seedFor('files at the point'))
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    await test.untilContinuous()
    for (let count = 0; count < 20; count++) {
      await writeFile(join(disk.mountPoint, `file-${count}`), randomBytesFrom(random, 100_000))
    }
    await writeFile(join(disk.mountPoint, 'last'), 'written just before the point')
    const expected = await listing(disk.mountPoint)
    await test.reachPoint('cp-1')
    expect(await filesOfVolume(replicator.volumePath(0))).toBe(expected)
    await test.releasePoint('cp-1')
  })

  it('reaches a second point after the first was released', async () => {
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    await test.untilContinuous()
    await test.reachPoint('cp-1')
    await test.releasePoint('cp-1')
    await writeFile(join(disk.mountPoint, 'second'), 'second')
    const expected = await listing(disk.mountPoint)
    await test.reachPoint('cp-2')
    expect(await filesOfVolume(replicator.volumePath(0))).toBe(expected)
    await test.releasePoint('cp-2')
  })

  it('leaves the file system writable when it cannot be frozen because someone else froze it', async () => {
    test = await TestEngine.start(replicator, { disks: [{ deviceName: disk.device, sizeBytes }] })
    await test.untilContinuous()
    await run('fsfreeze', ['-f', disk.mountPoint])
    try {
      await expect(test.reachPoint('cp-1', 2000)).rejects.toThrow(
        /frozen 5 times without a consistent copy.*resource busy/,
      )
    } finally {
      await run('fsfreeze', ['-u', disk.mountPoint])
    }
    await writeFile(join(disk.mountPoint, 'after'), 'after')
  })

  it('compares the disk when events of the kernel were lost, and says so', async () => {
    const random = seededRandom(seedFor('lost events'))
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: disk.device, sizeBytes }],
      bufferKb: 4,
    })
    await test.untilContinuous()
    await run('fio', [
      '--name=burst',
      `--filename=${join(disk.mountPoint, 'burst')}`,
      '--size=32M',
      '--rw=randwrite',
      '--bs=4k',
      '--direct=1',
      '--ioengine=libaio',
      '--iodepth=32',
      '--io_size=64M',
      `--randseed=${Math.floor(random() * 1e9)}`,
    ])
    await disk.unmount()
    await test.untilContinuous()
    await test.untilCaughtUp()
    test.apply()
    expect(test.notes.map((note) => note.message).join('\n')).toMatch(
      /Changes of .* were lost .*the disk is compared with its copy/,
    )
    expect(test.engine.report().disks[0]?.rescans).toBeGreaterThan(0)
    expect(await test.volumeDigest()).toBe(await disk.digest())
  })
})
