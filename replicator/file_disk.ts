/**
 * A file or block device as a disk.
 * @module
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, readFile } from 'node:fs/promises'
import type { Disk } from './disk.ts'
import { sectorSizeBytes } from '../domain/units.ts'

class FileDisk implements Disk {
  readonly sizeBytes: number
  readonly #handle: FileHandle

  constructor(handle: FileHandle, sizeBytes: number) {
    this.#handle = handle
    this.sizeBytes = sizeBytes
  }

  async read(into: Uint8Array, offsetBytes: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(into, 0, into.length, offsetBytes)
    return bytesRead
  }

  async write(from: Uint8Array, offsetBytes: number): Promise<number> {
    const { bytesWritten } = await this.#handle.write(from, 0, from.length, offsetBytes)
    return bytesWritten
  }

  async flush(): Promise<void> {
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** Closes `handle` when `use` fails, so that a half-opened disk is not left open. */
async function orClose<T>(handle: FileHandle, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Size of the block device with number `device`: the kernel tells it in sectors of 512 bytes, whatever the device's own are. */
async function deviceSizeBytes(device: number): Promise<number> {
  // The number as Linux packs it: 12 bits of major above 8 of minor, the rest of minor above both.
  const major = Math.floor(device / 256) % 4096
  const minor = (device % 256) + Math.floor(device / 2 ** 20) * 256
  const text = await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')
  return Number(text) * sectorSizeBytes
}

/**
 * Opens a volume's file or device for reading and writing; it must exist.
 * `isZero`: nothing was ever written to the file, so every byte is zero. Never claimed of a device.
 * @throws Error of the file system, or when it is neither file nor device.
 */
export async function openDataDisk(path: string): Promise<{ disk: Disk; isZero: boolean }> {
  const handle = await open(path, 'r+')
  return await orClose(handle, async () => {
    // What is still in memory has no blocks of its own on some file systems.
    await handle.datasync()
    const stats = await handle.stat()
    if (stats.isBlockDevice()) {
      return { disk: new FileDisk(handle, await deviceSizeBytes(stats.rdev)), isZero: false }
    }
    if (!stats.isFile())
      throw new Error(`Cannot use ${path} as a volume: it is neither a file nor a block device`)
    return { disk: new FileDisk(handle, stats.size), isZero: stats.blocks === 0 }
  })
}

/**
 * Opens or makes a file of `sizeBytes`; what is added reads as zeros and takes no room.
 * `bytesBefore`: how long it was. @param isFresh whatever was in it before is dropped.
 */
export async function openStateFile(
  path: string,
  sizeBytes: number,
  isFresh: boolean,
): Promise<{ disk: Disk; bytesBefore: number }> {
  const handle = await open(
    path,
    constants.O_RDWR | constants.O_CREAT | (isFresh ? constants.O_TRUNC : 0),
    0o600,
  )
  return await orClose(handle, async () => {
    const { size } = await handle.stat()
    if (size !== sizeBytes) {
      await handle.truncate(sizeBytes)
      await handle.sync()
    }
    return { disk: new FileDisk(handle, sizeBytes), bytesBefore: size }
  })
}
