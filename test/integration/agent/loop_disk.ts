/**
 * A real block device for tests: a sparse file behind a loop device, with an ext4 on it that is mounted and written to.
 * @module
 */
import { execFile } from 'node:child_process'
import { constants, createReadStream, mkdtempSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../fixtures/waiting.ts'

const run = promisify(execFile)

/** SHA-256 of a whole file or device, or of its first `lengthBytes`, in hexadecimal. */
export async function digestOf(path: string, lengthBytes = Infinity): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, end: lengthBytes - 1 }))
    hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Whether this test may use loop devices. */
export const isRoot = process.getuid?.() === 0

/** A loop device, mounted or not. */
export class LoopDisk {
  readonly folder: string
  readonly file: string
  readonly device: string
  readonly mountPoint: string
  #isMounted = false

  private constructor(folder: string, device: string) {
    this.folder = folder
    this.file = join(folder, 'disk.img')
    this.device = device
    this.mountPoint = join(folder, 'mounted here')
  }

  /** A device of `sizeMiB`, empty, its file in a folder of its own in `parent`. */
  static async make(sizeMiB: number, parent = tmpdir()): Promise<LoopDisk> {
    const folder = mkdtempSync(join(parent, 'rehost-loop-'))
    const file = join(folder, 'disk.img')
    await run('truncate', ['-s', `${sizeMiB}M`, file])
    // With direct I/O to the file, as a real disk has no page cache of its own.
    const { stdout } = await run('losetup', ['--find', '--show', '--direct-io=on', file])
    return new LoopDisk(folder, stdout.trim())
  }

  /** Makes an ext4 and mounts it. */
  async mount(): Promise<void> {
    await run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.device])
    await run('mkdir', ['-p', this.mountPoint])
    await run('mount', [this.device, this.mountPoint])
    this.#isMounted = true
  }

  /** Unmounts it. When this returns the file system writes no more. */
  async unmount(): Promise<void> {
    if (!this.#isMounted) return
    await run('umount', [this.mountPoint])
    this.#isMounted = false
    // A mount namespace made meanwhile by anybody has the mount too, and the file system goes on until that ends.
    await until(`${this.device} is mounted nowhere`, () => this.#isUnclaimed(), 60_000, 10)
  }

  /** What mounts a device claims it; the kernel refuses a second claim. */
  async #isUnclaimed(): Promise<boolean> {
    try {
      const handle = await open(this.device, constants.O_RDONLY | constants.O_EXCL)
      await handle.close()
      return true
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false
      throw error
    }
  }

  /** Digest of the device, or of its first `lengthBytes`, as it is on the disk, past every cache. */
  async digest(lengthBytes?: number): Promise<string> {
    await run('blockdev', ['--flushbufs', this.device])
    return digestOf(this.device, lengthBytes)
  }

  /** Writes `bytes` at `offset`, durable when it returns. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const handle = await open(this.device, 'r+')
    try {
      await handle.write(bytes, 0, bytes.length, offset)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  /** Discards a range, as a file system does with what it no longer needs. */
  async discard(offset: number, length: number): Promise<void> {
    await run('blkdiscard', ['-o', String(offset), '-l', String(length), this.device])
  }

  /** Makes it larger, as a cloud does with a disk in use; the new part is zeros. */
  async grow(sizeBytes: number): Promise<void> {
    await run('truncate', ['-s', String(sizeBytes), this.file])
    await run('losetup', ['-c', this.device])
  }

  async remove(): Promise<void> {
    await this.unmount()
    await run('losetup', ['-d', this.device])
    await rm(this.folder, { recursive: true, force: true })
  }
}
