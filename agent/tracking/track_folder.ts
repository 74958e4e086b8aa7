/**
 * The folder in which an agent's tracking outlives its process: `/run/rehost/KEY`, which the kernel empties at each start as it does its rings.
 * @module
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import type { DeviceNumber, InstanceState, TracedDevice } from './trace.ts'
import type { MarkedDisk } from './mark_file.ts'
import type { RecordedRing } from './ring_record.ts'
import { errorMessage } from '../../domain/errors.ts'
import { MarkFile } from './mark_file.ts'
import { readRing, RingRecord } from './ring_record.ts'
import { decodePage, encodePage } from './stored_page.ts'

const ringName = 'ring'
const runName = 'run'
const marksSuffix = '.marks'

const runSchema = z.object({ generation: z.int() })

/** Names the agent whose state is in `stateDirectory` among several on one machine: its folder, and its instance of the kernel's tracing. */
export function trackKey(stateDirectory: string): string {
  return createHash('sha256').update(resolve(stateDirectory)).digest('hex').slice(0, 12)
}

/** The kernel's tracing instance of the agent with this key. */
export function traceInstanceName(key: string): string {
  return `rehost-${key}`
}

/** What an earlier process left. */
export interface LeftTracking {
  ring: RecordedRing
  files: MarkFile[]
}

function readGeneration(path: string): number {
  return runSchema.parse(decodePage(readFileSync(join(path, runName)))).generation
}

/** Files that belong to the ring; others are nobody's any more. */
function filesOf(path: string, ringId: string): MarkFile[] {
  const files: MarkFile[] = []
  for (const name of readdirSync(path).filter((entry) => entry.endsWith(marksSuffix))) {
    const filePath = join(path, name)
    try {
      const file = MarkFile.load(filePath)
      if (file.header.ringId === ringId) files.push(file)
      else file.remove()
    } catch {
      // A damaged file says nothing: its disk is compared, as one without a file is.
      rmSync(filePath, { force: true })
    }
  }
  return files
}

/**
 * What the last run in this boot has left in its folder, for whom comes after all runs.
 * @throws Error when there was none, or it cannot be read.
 */
export function leftAtShutdown(path: string): LeftTracking & { generation: number } {
  const generation = readGeneration(path)
  const ring = readRing(join(path, ringName))
  // Should an agent be started once more after all, it finds nothing to go on from: the rings were read without it.
  rmSync(join(path, runName))
  return { ring, files: filesOf(path, ring.ringId), generation }
}

/** One agent's folder. */
export class TrackFolder {
  readonly #path: string
  readonly #bootId: string
  readonly #newRingId: () => string
  readonly #generation: number
  /** Of the kernel's tracing instance. */
  readonly instanceName: string

  /** @param own `generation` of this run, as the gateway gave it. */
  constructor(own: {
    path: string
    instanceName: string
    bootId: string
    generation: number
    newRingId: () => string
  }) {
    this.#path = own.path
    this.instanceName = own.instanceName
    this.#bootId = own.bootId
    this.#newRingId = own.newRingId
    this.#generation = own.generation
  }

  /** What can be gone on from; else the reason, as it stands after "because". */
  find(): LeftTracking | string {
    let ring: RecordedRing
    try {
      ring = readRing(join(this.#path, ringName))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        return 'no earlier run of the agent has tracked it since this machine was started'
      return `what the run before left cannot be read: ${errorMessage(error)}`
    }
    if (ring.bootId !== this.#bootId) return 'the machine was started anew'
    // A copy of this machine, whose agent has run since, has written another disk's blocks to the volumes.
    const before = this.#readRun()
    if (before !== this.#generation - 1)
      return `the run before (${this.#generation - 1}) was not this machine's (${before ?? 'none'}), or left nothing`
    // From here on the chain of runs is whole up to this one. Where it is not, nothing says so before all is cleared away.
    this.#writeRun()
    return { ring, files: filesOf(this.#path, ring.ringId) }
  }

  /** The run that was here last. */
  #readRun(): number | undefined {
    try {
      return readGeneration(this.#path)
    } catch {
      // Missing or damaged: then nothing else that was left is believed.
      return undefined
    }
  }

  #writeRun(): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 })
    writeFileSync(join(this.#path, runName), encodePage({ generation: this.#generation }), { mode: 0o600 })
  }

  /** The record of rings that are read from now on; with `ringId`, of those that an earlier process read. */
  record(state: InstanceState, devices: readonly TracedDevice[], ringId = this.#newRingId()): RingRecord {
    this.#writeRun()
    return new RingRecord(join(this.#path, ringName), { bootId: this.#bootId, ringId, state, devices })
  }

  /** A file for a disk, in place of any other of its volume. */
  createMarks(ringId: string, device: DeviceNumber, disk: MarkedDisk): MarkFile {
    const path = join(this.#path, `${encodeURIComponent(disk.volumeId)}${marksSuffix}`)
    return MarkFile.create(path, { ...disk, ringId, device: [device.major, device.minor] })
  }

  /** Removes everything. */
  clear(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}
