/**
 * Seals how the copies stand when the machine goes down and nothing writes to its disks any more.
 *
 * Sealing writes to a disk itself. So it writes several times, always all pages: the first writing shows, among the events, where all of them go.
 * Only when a writing has brought nothing new is the last one made, which says that all is there. What comes to light after it takes it back.
 * @module
 */
import type { Buffer } from 'node:buffer'
import { errorMessage } from '../../domain/errors.ts'
import type { Trace } from '../tracking/trace.ts'
import type { MarkFile } from '../tracking/mark_file.ts'
import type { Subscriptions } from '../tracking/subscriptions.ts'
import type { PresentDisk } from './present_disks.ts'
import type { SealPlan } from './seal_plan.ts'
import type { LoaderFile, SealedRecord } from './sealed_record.ts'
import { encodeSeal, runsOf } from './sealed_record.ts'
import { keyOf } from '../tracking/subscriptions.ts'

/** A disk in use writes nothing now and then: what is still written after so many turns comes from somebody. */
const mostTurns = 8

/** A device that refuses once may not refuse again. */
const mostAttempts = 3

const unfinished = 'the machine went down before its shutdown was noted'

/** What sealing works with. */
export interface SealInput {
  plan: SealPlan
  /** Where the boot loader writes at the next start. */
  loaderFile: LoaderFile
  /** Of the run that ended with the machine. */
  generation: number
  /** Its tracing instance, whose events go to `files` by way of `subscriptions`. */
  trace: Pick<Trace, 'pump' | 'check'>
  subscriptions: Subscriptions
  files: readonly MarkFile[]
  disks: readonly PresentDisk[]
  /** Writes all pages, durably. */
  write(pages: Buffer): Promise<void>
  /** Writes those pages that can be written, durably: with one of another record none is believed. @throws Error when none can be. */
  spoil(pages: Buffer): Promise<void>
}

/**
 * Seals. What is on the disk when this throws says that nothing can be gone on from, or was there before and is nothing's proof.
 * @throws Error with the reason.
 */
export async function seal(input: SealInput): Promise<SealedRecord> {
  const { plan, trace, subscriptions, files, write, spoil } = input
  const note = (): void => {
    subscriptions.markEnded()
    for (const file of files) file.flush()
  }
  const pages = (record: SealedRecord): Buffer => encodeSeal(plan.places.nonce, record)
  const look = async (): Promise<SealedRecord> => {
    await trace.pump(note)
    const lookEnded = subscriptions.beginLook()
    if (lookEnded !== undefined) {
      await trace.pump(note)
      lookEnded()
    }
    await trace.check()
    note()
    return recordOf(input)
  }
  const refuse = async (refusal: string): Promise<never> => {
    const { bootId, token } = plan
    const { loaderFile, generation } = input
    const refused = pages({ refusal, bootId, token, loaderFile, generation, disks: [] })
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      const isWritten = await write(refused).then(
        () => true,
        () => false,
      )
      if (isWritten) throw new Error(refusal)
    }
    try {
      await spoil(refused)
    } catch (error) {
      throw new Error(`${refusal}; ${errorMessage(error)}`, { cause: error })
    }
    throw new Error(refusal)
  }
  let before = ''
  for (let turn = 0; turn < mostTurns; turn++) {
    const record = await look()
    if (record.disks.length === 0)
      return refuse('no disk was known well enough to be known again after a reboot')
    let encoded: Buffer
    try {
      encoded = pages(record)
    } catch (error) {
      return refuse(errorMessage(error))
    }
    const now = JSON.stringify(record)
    if (now !== before) {
      before = now
      await write(pages({ ...record, refusal: unfinished }))
      continue
    }
    try {
      await write(encoded)
      if (JSON.stringify(await look()) === before) return record
    } catch (error) {
      // It may be there in full already.
      return refuse(
        `nobody saw whether the disks were written to after it was sealed: ${errorMessage(error)}`,
      )
    }
    return refuse('the disks were written to after all file systems had ended')
  }
  return refuse('the disks were still written to when the machine was shut down')
}

/** How it stands by the files. A disk of which something is not known is left out, and compared. */
function recordOf({ plan, loaderFile, generation, files, disks }: SealInput): SealedRecord {
  const { bootId, token } = plan
  const record: SealedRecord = { bootId, generation, token, loaderFile, disks: [] }
  for (const file of files) {
    const { device, diskId, volumeId, sizeBytes, lost, hasDiscardsUnderWay, state } = file.header
    const key = keyOf({ major: device[0], minor: device[1] })
    const disk = disks.find((candidate) => keyOf(candidate.device) === key)
    if (disk?.lastingId === undefined || disk.diskId !== diskId) continue
    if (lost !== undefined || hasDiscardsUnderWay || state === undefined) continue
    const { lastingId, sizeBytes: diskBytes } = disk
    record.disks.push({ lastingId, diskBytes, volumeId, sizeBytes, state, runs: runsOf(file.marks()) })
  }
  return record
}
