/**
 * Reads block devices and disk images. Devices are read with O_DIRECT, because a buffered read under a mounted file system can return stale
 * pages; an image on a file system that refuses O_DIRECT is read without.
 * @module
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import type { DiskIdentity } from '../inventory/disk_identity.ts'
import type { BlockSource } from './block_source.ts'
import { deviceIdentityOf } from '../inventory/disk_identity.ts'
import { deviceNumberOf, machineFiles } from '../inventory/system_files.ts'
import type { PathFacts } from '../inventory/system_files.ts'
import { DiskGoneError, DiskRefusedError, UnreadableSectorError } from './block_source.ts'

/** What O_DIRECT asks of offset and length on any disk, and the piece in which a bad sector is looked for. */
const alignmentBytes = 4096

/** Reads before a sector counts as unreadable, and the wait between them. */
const readAttempts = 3
const retryWaitMs = 100

/** What this file needs of an open file; tests give one with bad sectors. */
export interface ReadableHandle {
  readonly fd?: number | undefined
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  close(): Promise<void>
}

/** The code of a system error. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Codes that mean the sector, not the disk. */
const sectorCodes = new Set(['EIO', 'ENODATA', 'EILSEQ', 'EREMOTEIO', 'ETIMEDOUT'])

/** A {@link BlockSource} over an open file. */
export class DeviceSource implements BlockSource {
  readonly deviceName: string
  readonly identity: DiskIdentity
  #sizeBytes: number
  readonly #handle: ReadableHandle
  readonly #clock: Clock
  readonly #currentSize: () => Promise<number | undefined>

  constructor(input: {
    deviceName: string
    identity: DiskIdentity
    sizeBytes: number
    handle: ReadableHandle
    clock: Clock
    currentSize: () => Promise<number | undefined>
  }) {
    this.deviceName = input.deviceName
    this.identity = input.identity
    this.#sizeBytes = input.sizeBytes
    this.#handle = input.handle
    this.#clock = input.clock
    this.#currentSize = input.currentSize
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  growTo(sizeBytes: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes)
  }

  /** Undefined for a test's handle that is no file of the system. */
  get fd(): number | undefined {
    return this.#handle.fd
  }

  async read(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void> {
    if (offsetBytes % alignmentBytes !== 0 || lengthBytes < 1 || offsetBytes + lengthBytes > this.sizeBytes) {
      throw new RangeError(
        `Cannot read ${lengthBytes} bytes at ${offsetBytes} of ${this.deviceName}: it has ${this.sizeBytes} bytes`,
      )
    }
    try {
      await this.#readWhole(offsetBytes, lengthBytes, into)
    } catch (error) {
      if (!sectorCodes.has(codeOf(error) ?? '')) throw this.#named(error)
      await this.#readInPieces(offsetBytes, lengthBytes, into)
    }
  }

  async currentSizeBytes(): Promise<number> {
    const size = await this.#currentSize()
    if (size === undefined || (size === 0 && this.sizeBytes > 0)) throw this.#gone()
    return size
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  /** Reads on after short reads, always from an aligned position. */
  async #readWhole(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void> {
    const wanted = Math.min(into.length, Math.ceil(lengthBytes / alignmentBytes) * alignmentBytes)
    let done = 0
    while (done < lengthBytes) {
      const { bytesRead } = await this.#handle.read(into, done, wanted - done, offsetBytes + done)
      if (done + bytesRead >= lengthBytes) return
      const aligned = Math.floor((done + bytesRead) / alignmentBytes) * alignmentBytes
      if (aligned === done) {
        throw this.#shrunk(offsetBytes + done + bytesRead)
      }
      done = aligned
    }
  }

  /** Reads 4 KiB at a time, several times where it fails, so that one bad sector is found and the others are read. */
  async #readInPieces(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < lengthBytes; done += alignmentBytes) {
      const piece = into.subarray(done, done + alignmentBytes)
      const pieceLength = Math.min(alignmentBytes, lengthBytes - done)
      for (let attempt = 1; ; attempt++) {
        try {
          await this.#readWhole(offsetBytes + done, pieceLength, piece)
          break
        } catch (error) {
          if (!sectorCodes.has(codeOf(error) ?? '')) throw this.#named(error)
          if (attempt >= readAttempts) {
            // A disk that was pulled out fails with the code of a bad sector at first.
            await this.#requireWhole()
            throw new UnreadableSectorError(this.deviceName, offsetBytes + done, { cause: error })
          }
          await this.#clock.sleep(retryWaitMs)
        }
      }
    }
  }

  /** @throws DiskGoneError when the disk is gone, or smaller than it was. */
  async #requireWhole(): Promise<void> {
    const isBytes = await this.currentSizeBytes()
    if (isBytes < this.sizeBytes) throw this.#shrunk(isBytes)
  }

  #shrunk(endBytes: number): DiskGoneError {
    return new DiskGoneError(
      this.deviceName,
      `Cannot read ${this.deviceName} at byte ${endBytes}: it ends there, though it had ${this.sizeBytes} bytes; ` +
        'if it was made smaller on purpose, remove the server from Rehost and add it again',
    )
  }

  #named(error: unknown): unknown {
    const code = codeOf(error)
    return code === 'ENXIO' || code === 'ENODEV' || code === 'ENOENT' ? this.#gone(error) : error
  }

  #gone(cause?: unknown): DiskGoneError {
    return new DiskGoneError(
      this.deviceName,
      `Disk ${this.deviceName} is not there any more; attach it again, or remove the server from Rehost and add it again without this disk`,
      { cause },
    )
  }
}

/** Opens for reading; with O_DIRECT where the file system takes it. */
async function openForReading(path: string, isDevice: boolean): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECT)
  } catch (error) {
    if (isDevice || codeOf(error) !== 'EINVAL') throw error
    return open(path, constants.O_RDONLY)
  }
}

/**
 * Opens a block device or a disk image.
 *
 * @throws DiskGoneError when it does not exist; DiskRefusedError when it may not be read.
 */
export async function openDevice(deviceName: string, clock: Clock): Promise<BlockSource> {
  const facts = await machineFiles.facts(deviceName)
  if (facts === undefined) {
    throw new DiskGoneError(
      deviceName,
      `Cannot open disk ${deviceName}: it does not exist; attach it or check its name`,
    )
  }
  const handle = await openForReading(deviceName, facts.kind === 'block').catch((error: unknown) => {
    throw new DiskRefusedError(deviceName, `Cannot open ${deviceName} for reading`, { cause: error })
  })
  try {
    const identity = await identityOfOpen(handle, deviceName)
    const currentSize = async (): Promise<number | undefined> => {
      const now = await machineFiles.facts(deviceName)
      const isSame = now !== undefined && isOneDisk(await identityOfNamed(now, deviceName), identity)
      return isSame ? now.sizeBytes : undefined
    }
    return new DeviceSource({ deviceName, identity, sizeBytes: facts.sizeBytes, handle, clock, currentSize })
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Of the device that `handle` has open, whatever has its name by now: while it is open its number is not given to another one. */
async function identityOfOpen(handle: FileHandle, deviceName: string): Promise<DiskIdentity> {
  const found = await handle.stat()
  return found.isBlockDevice()
    ? deviceIdentityOf(machineFiles, deviceNumberOf(found.rdev), deviceName)
    : { stableId: deviceName }
}

/** Of what stands at the name now. */
async function identityOfNamed({ deviceNumber }: PathFacts, deviceName: string): Promise<DiskIdentity> {
  return deviceNumber === undefined
    ? { stableId: deviceName }
    : deviceIdentityOf(machineFiles, deviceNumber, deviceName)
}

function isOneDisk(one: DiskIdentity, other: DiskIdentity): boolean {
  const isCounted = one.attachmentId !== undefined && other.attachmentId !== undefined
  return isCounted ? one.attachmentId === other.attachmentId : one.stableId === other.stableId
}
