/**
 * The file that a clean shutdown writes its record into, past the file system: that is read-only or gone by then. Its pages were written while the
 * file system was there, and their places on the device noted.
 * @module
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import type { SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import type { FilePart } from './file_places.ts'
import type { SealedRecord } from './sealed_record.ts'
import { AlignedPool } from '../disk/aligned_pool.ts'
import { deviceFile, placesOf } from './file_places.ts'
import {
  decodeSeal,
  encodeSeal,
  isSealPage,
  sealFileBytes,
  sealMark,
  sealPageBytes,
} from './sealed_record.ts'

/** Name of the file in the state directory. */
export const sealFileName = 'reboot.seal'

/** Where the pages are, as noted for the shutdown. */
export const sealPlacesSchema = z.object({
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  /** `major:minor` of the device that the file system is on. */
  device: z.string(),
  parts: z.array(z.object({ fileByte: z.int(), deviceByte: z.int(), bytes: z.int() })).min(1),
})
export type SealPlaces = z.infer<typeof sealPlacesSchema>

/** The file of one agent. */
export class SealFile {
  readonly #path: string
  readonly #files: SystemFiles
  readonly #run: CommandRunner
  readonly #newNonce: () => string

  /** @param newNonce 32 hexadecimal digits. */
  constructor(stateDirectory: string, files: SystemFiles, run: CommandRunner, newNonce: () => string) {
    this.#path = join(stateDirectory, sealFileName)
    this.#files = files
    this.#run = run
    this.#newNonce = newNonce
  }

  /** What was sealed; undefined when nothing was. @throws Error when it is damaged. */
  async read(): Promise<SealedRecord | undefined> {
    try {
      return decodeSeal(await readFile(this.#path))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Makes it empty, durably, and finds its places. @throws Error with why a shutdown cannot write it. */
  async prepare(): Promise<SealPlaces> {
    const nonce = this.#newNonce()
    // In its place: what a reader may find is the old record or none, never the old one once more.
    const handle = await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600)
    try {
      await handle.write(encodeSeal(nonce, undefined), 0, sealFileBytes, 0)
      await handle.truncate(sealFileBytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    const folder = await open(dirname(this.#path))
    await folder.sync().finally(() => folder.close())
    const { device, parts } = await placesOf(this.#path, this.#run)
    if (parts.some(({ fileByte, deviceByte, bytes }) => ((fileByte | deviceByte | bytes) & 4095) !== 0))
      throw new Error('its file system has blocks of less than 4 KiB')
    const places = { nonce, device, parts }
    const raw = await this.#rawDevice(device)
    const fault = await new RawPages(raw, places).fault()
    if (fault !== undefined) throw new Error(fault)
    return places
  }

  async #rawDevice(device: string): Promise<string> {
    const path = await deviceFile(this.#files, device)
    if (path === undefined) throw new Error(`its file system is not on a block device (${device})`)
    return path
  }
}

/** The pages on the device itself. */
export class RawPages {
  readonly #path: string
  readonly #places: SealPlaces
  readonly #pool = new AlignedPool(1)

  constructor(devicePath: string, places: SealPlaces) {
    this.#path = devicePath
    this.#places = places
  }

  /** Why they cannot be written; undefined when every page is where it was and is ours. */
  fault(): Promise<string | undefined> {
    return this.#with(constants.O_RDONLY, (handle, bytes) => this.#faultOf(handle, bytes))
  }

  /** Writes all pages, durably. @throws Error before anything is written when one of them is not ours any more. */
  write(pages: Buffer): Promise<void> {
    return this.#with(constants.O_RDWR, async (handle, bytes) => {
      const fault = await this.#faultOf(handle, bytes)
      if (fault !== undefined) throw new Error(fault)
      for (const part of this.#parts()) {
        bytes.set(pages.subarray(part.fileByte, part.fileByte + part.bytes))
        const { bytesWritten } = await handle.write(bytes, 0, part.bytes, part.deviceByte)
        if (bytesWritten !== part.bytes)
          throw new Error(`${this.#path} could not be written at byte ${part.deviceByte}`)
      }
      await handle.sync()
    })
  }

  /** Writes those pages that can be written and are ours, each durably by itself. @throws Error when that is none. */
  spoil(pages: Buffer): Promise<void> {
    return this.#with(constants.O_RDWR | constants.O_DSYNC, async (handle, bytes) => {
      let written = 0
      for (const part of this.#parts())
        for (let at = 0; at < part.bytes; at += sealPageBytes)
          try {
            const page = pages.subarray(part.fileByte + at, part.fileByte + at + sealPageBytes)
            if (await this.#spoilPage(handle, bytes, part.deviceByte + at, page)) written += 1
          } catch {
            // Another page does as well.
          }
      if (written === 0) throw new Error(`no page on ${this.#path} could be taken back`)
    })
  }

  async #spoilPage(
    handle: FileHandle,
    bytes: Uint8Array,
    deviceByte: number,
    page: Buffer,
  ): Promise<boolean> {
    const { bytesRead } = await handle.read(bytes, 0, sealPageBytes, deviceByte)
    const held = Buffer.from(bytes.buffer, bytes.byteOffset, sealPageBytes)
    const mark = sealMark(this.#places.nonce)
    if (bytesRead !== sealPageBytes || !isSealPage(held, mark, page.readUInt32LE(mark.length))) return false
    bytes.set(page)
    return (await handle.write(bytes, 0, sealPageBytes, deviceByte)).bytesWritten === sealPageBytes
  }

  /** File systems give whole blocks: the last part may go beyond the end. */
  *#parts(): Generator<FilePart> {
    for (const { fileByte, deviceByte, bytes } of this.#places.parts) {
      const own = Math.min(bytes, sealFileBytes - fileByte)
      if (own > 0) yield { fileByte, deviceByte, bytes: own }
    }
  }

  async #faultOf(handle: FileHandle, bytes: Uint8Array): Promise<string | undefined> {
    const mark = sealMark(this.#places.nonce)
    let pages = 0
    for (const part of this.#parts()) {
      const { bytesRead } = await handle.read(bytes, 0, part.bytes, part.deviceByte)
      if (bytesRead !== part.bytes) return `${this.#path} could not be read at byte ${part.deviceByte}`
      for (let at = 0; at < part.bytes; at += sealPageBytes) {
        const page = Buffer.from(bytes.buffer, bytes.byteOffset + at, sealPageBytes)
        if (!isSealPage(page, mark, (part.fileByte + at) / sealPageBytes))
          return `byte ${part.deviceByte + at} of ${this.#path} does not hold the file any more`
        pages += 1
      }
    }
    return pages * sealPageBytes === sealFileBytes ? undefined : `only ${pages} pages of the file are known`
  }

  async #with<T>(mode: number, work: (handle: FileHandle, bytes: Uint8Array) => Promise<T>): Promise<T> {
    // Past the device's cache: what is read is what the disk holds.
    const handle = await open(this.#path, mode | constants.O_DIRECT)
    try {
      const slot = await this.#pool.acquire()
      return await work(handle, slot.bytes).finally(() => slot.release())
    } finally {
      await handle.close()
    }
  }
}
