/**
 * What a later process must know to go on with the kernel's rings: which they are, and how many events were taken out of them and are marked.
 *
 * Events are read, then marked in the disks' files, then counted here. The kernel counts what was taken out too: equal counts prove that every
 * event was marked, that no process was killed in between, and that nobody else has read.
 *
 * ```
 * bytes 0–8191   boot, instance, filter, devices, events lost
 * bytes 8192–    how many events were taken out, 64 bits
 * ```
 * @module
 */
import { Buffer } from 'node:buffer'
import { closeSync, openSync, readFileSync } from 'node:fs'
import * as z from 'zod'
import type { InstanceState, TracedDevice } from './trace.ts'
import { writeWhole } from './mark_file.ts'
import { decodePage, encodePage, pageBytes } from './stored_page.ts'

/** Filters of 60 disks and their numbers fit. */
const documentBytes = 2 * pageBytes

const documentSchema = z.object({
  bootId: z.string(),
  /** Of this record; the files of the disks carry it. */
  ringId: z.string(),
  folderId: z.string(),
  filter: z.string(),
  discardFilter: z.string(),
  lost: z.int(),
  /** Numbers, and whether it merges discards. */
  devices: z.array(z.tuple([z.int(), z.int(), z.boolean()])),
})
type Document = z.infer<typeof documentSchema>

/** What was recorded. */
export interface RecordedRing extends InstanceState {
  bootId: string
  ringId: string
  devices: TracedDevice[]
}

/** Reads a record that an earlier process left. @throws Error when there is none or it is damaged. */
export function readRing(path: string): RecordedRing {
  const bytes = readFileSync(path)
  const { devices, ...document } = documentSchema.parse(decodePage(bytes.subarray(0, documentBytes)))
  return {
    ...document,
    devices: devices.map(([major, minor, mergesDiscards]) => ({ major, minor, mergesDiscards })),
    records: Number(bytes.readBigUInt64LE(documentBytes)),
  }
}

/** The record of the rings that this process reads. Its methods throw what the file system says. */
export class RingRecord {
  readonly ringId: string
  readonly #bootId: string
  readonly #file: number
  readonly #count = Buffer.alloc(8)
  #written: Omit<InstanceState, 'records'> | undefined
  #records = -1

  /** Takes the place of any other. */
  constructor(
    path: string,
    own: { bootId: string; ringId: string; state: InstanceState; devices: readonly TracedDevice[] },
  ) {
    this.#bootId = own.bootId
    this.ringId = own.ringId
    this.#file = openSync(path, 'w', 0o600)
    this.write(own.state, own.devices)
  }

  /** Records how it stands, after every turn of reading; nothing is written of what is recorded already. */
  write(state: InstanceState, devices: readonly TracedDevice[]): void {
    const { folderId, filter, discardFilter, lost, records } = state
    const written = this.#written
    // The filters name the devices: other ones have others.
    if (
      written?.folderId !== folderId ||
      written.filter !== filter ||
      written.discardFilter !== discardFilter ||
      written.lost !== lost
    ) {
      const document: Document = {
        bootId: this.#bootId,
        ringId: this.ringId,
        folderId,
        filter,
        discardFilter,
        lost,
        devices: devices.map(({ major, minor, mergesDiscards = false }) => [major, minor, mergesDiscards]),
      }
      writeWhole(this.#file, encodePage(document, documentBytes), 0)
      this.#written = { folderId, filter, discardFilter, lost }
    }
    if (records === this.#records) return
    this.#count.writeBigUInt64LE(BigInt(records))
    writeWhole(this.#file, this.#count, documentBytes)
    this.#records = records
  }

  /** Closes; it stays for the next run. */
  close(): void {
    closeSync(this.#file)
  }
}
