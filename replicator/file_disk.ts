/**
 * A file or block device as a disk.
 * @module
 */
import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, readFile, stat } from 'node:fs/promises'
import { sectorSizeBytes } from '../domain/units.ts'
import { WireError } from '../wire/wire_error.ts'
import { codeOf } from './disk.ts'
import type { Disk } from './disk.ts'
import type { HostLease } from '../host/lease.ts'
import type { TakeLease } from './lease.ts'

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

  async check(): Promise<void> {
    // Of its own files a replication server finds out at the next opening, and believes nothing of them then.
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** While blocks are written, this often it is looked whether the file is still there. */
const checkIntervalMs = 200

const madeAnew =
  'Put it back, or wait: another volume is made in its place and the disk is copied again; if that does not come within minutes, ' +
  'disconnect the server and add it again'

const comparedAnew =
  'Put the former one back, or restart the agent on the source (systemctl restart rehost-agent): it then compares everything'

/** The disk of a volume. It is alone on it, and notices when what it writes is no longer what stands at its path. */
class DataDisk extends FileDisk {
  readonly #path: string
  readonly #opened: BigIntStats
  readonly #lease: HostLease
  #checkedAtMs = -Infinity

  constructor(
    handle: FileHandle,
    sizeBytes: number,
    own: { path: string; opened: BigIntStats; lease: HostLease },
  ) {
    super(handle, sizeBytes)
    this.#path = own.path
    this.#opened = own.opened
    this.#lease = own.lease
  }

  override async write(from: Uint8Array, offsetBytes: number): Promise<number> {
    // Only a write up to the end would make a file that was cut look whole again.
    if (offsetBytes + from.length >= this.sizeBytes) await this.check()
    return await super.write(from, offsetBytes)
  }

  /** Looks also whether the file is still there, but not each time: when it is gone, all that was acknowledged before is gone too. */
  override async flush(): Promise<void> {
    await super.flush()
    if (performance.now() - this.#checkedAtMs >= checkIntervalMs) await this.check()
  }

  override async close(): Promise<void> {
    try {
      await super.close()
    } finally {
      await this.#lease.release()
    }
  }

  /** @throws WireError VOLUME_IO_ERROR when the file was removed, replaced or cut. */
  override async check(): Promise<void> {
    this.#checkedAtMs = performance.now()
    const { dev, ino, rdev } = this.#opened
    let now: BigIntStats
    try {
      now = await stat(this.#path, { bigint: true })
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      throw this.#lost('it was removed', madeAnew)
    }
    if (now.dev !== dev || now.ino !== ino || now.rdev !== rdev)
      throw this.#lost('it was replaced by another one', comparedAnew)
    // The size of a device is not in its stats.
    if (now.isFile() && now.size < this.sizeBytes)
      throw this.#lost(`it was cut to ${now.size} bytes`, madeAnew)
  }

  #lost(what: string, whatToDo: string): WireError {
    return new WireError(
      'VOLUME_IO_ERROR',
      `Cannot go on with ${this.#path}: ${what} while it was in use, and blocks that were acknowledged before are gone with it. ${whatToDo}`,
    )
  }
}

/** Closes what is half opened when `use` fails. */
async function orClose<T>(half: { close(): Promise<void> }, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    await half.close()
    throw error
  }
}

/** Size of the block device with number `device`: the kernel tells it in sectors of 512 bytes, whatever the device's own are. */
async function deviceSizeBytes(device: bigint): Promise<number> {
  // The number as Linux packs it: 12 bits of major above 8 of minor, the rest of minor above both.
  const major = (device >> 8n) & 0xfffn
  const minor = (device & 0xffn) | ((device >> 12n) & 0xfff00n)
  const text = await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')
  return Number(text) * sectorSizeBytes
}

/** A volume's data. */
export interface DataParts {
  disk: Disk
  /** Tells this file from another one that takes its place later; undefined of a device, whose place is all there is to know. */
  identity: string | undefined
  /** Whether nothing was ever written to the file, so that every byte is zero. Never claimed of a device. Ask after a flush. */
  isZero: () => Promise<boolean>
}

/**
 * Opens a volume's file or device for reading and writing; it must exist.
 * @throws Error of the file system, or when it is neither file nor device, or somebody else on this host writes it.
 */
export async function openDataDisk(path: string, takeLease: TakeLease): Promise<DataParts> {
  // Of a device the kernel lets one only have it in this way, a mounted file system included.
  const isDevice = (await stat(path)).isBlockDevice()
  const handle = await open(path, constants.O_RDWR | (isDevice ? constants.O_EXCL : 0))
  return await orClose(handle, async () => {
    const opened = await handle.stat({ bigint: true })
    const { dev, ino, rdev } = opened
    if (opened.isBlockDevice()) {
      const sizeBytes = await deviceSizeBytes(rdev)
      const lease = await takeLease(`device ${rdev}`)
      const disk = new DataDisk(handle, sizeBytes, { path, opened, lease })
      return { disk, identity: undefined, isZero: () => Promise.resolve(false) }
    }
    if (!opened.isFile())
      throw new Error(`Cannot use ${path} as a volume: it is neither a file nor a block device`)
    const lease = await takeLease(`file ${dev} ${ino}`)
    const disk = new DataDisk(handle, Number(opened.size), { path, opened, lease })
    // The number of its file system is left out: it may be another after the machine was started again.
    return {
      disk,
      identity: `${ino} ${opened.birthtimeNs}`,
      isZero: async () => (await handle.stat()).blocks === 0,
    }
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
