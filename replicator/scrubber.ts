/**
 * Reads the volumes again in the background, a little at a time, so that damage of a staging disk is found while the source can still mend it.
 * How often and how fast is the gateway's to say.
 * @module
 */
import type { Logger } from 'pino'
import { z } from 'zod'
import { errorMessage } from '../domain/errors.ts'
import { blockSizeBytes, maxExtentBlocks } from '../domain/units.ts'
import { pause } from './backoff.ts'
import type { DocumentStore } from './checkpoint.ts'
import type { ServedServer } from './served_server.ts'

/** Volumes are looked through this often for one that is due. */
const lookIntervalMs = 30_000

/** Where it is, is written down after so many blocks: 1 GiB. */
const blocksPerRecord = 16_384

/** How often each volume is read, from the end of one time to the begin of the next, and how fast all of them together. */
export interface ScrubPolicy {
  /** 0: not at all. */
  intervalMs: number
  bytesPerSecond: number
}

/** Where a volume's scrub is, and when the last one ended. */
export const scrubRecordSchema = z.object({ nextBlock: z.int().min(0), endedAtMs: z.number() })
export type ScrubRecord = z.infer<typeof scrubRecordSchema>

/** What the scrubber works with. */
export interface ScrubberOptions {
  servers: () => readonly ServedServer[]
  /** Undefined until the gateway has said it. */
  policy: () => ScrubPolicy | undefined
  recordOf: (volumeId: string) => DocumentStore<ScrubRecord>
  nowMs: () => number
  log: Logger
  /** For tests. */
  lookIntervalMs?: number
}

/** Scrubs what is due until `signal` aborts. Never rejects. */
export async function runScrubber(options: ScrubberOptions, signal: AbortSignal): Promise<void> {
  while (await pause(options.lookIntervalMs ?? lookIntervalMs, signal)) {
    for (const server of options.servers()) {
      for (const { volumeId, blockCount } of server.scrub.volumes) {
        try {
          await scrub(options, { server, volumeId, blockCount }, signal)
        } catch (error) {
          options.log.warn({ err: error, volumeId }, `Cannot read a volume again: ${errorMessage(error)}`)
        }
      }
    }
  }
}

/** Goes on with one volume where it is, if it is due. @throws Error of its record. */
async function scrub(
  { policy, recordOf, nowMs, log }: ScrubberOptions,
  { server, volumeId, blockCount }: { server: ServedServer; volumeId: string; blockCount: number },
  signal: AbortSignal,
): Promise<void> {
  const document = recordOf(volumeId)
  const record = await document.read()
  if (record === undefined) {
    // Everything was checked when it was written.
    await document.write({ nextBlock: 0, endedAtMs: nowMs() })
    return
  }
  const isDue = nowMs() - record.endedAtMs >= (policy()?.intervalMs ?? Infinity)
  if (record.nextBlock === 0 && !isDue) return
  let damaged = 0
  for (let first = record.nextBlock; first < blockCount; first += maxExtentBlocks) {
    const { intervalMs, bytesPerSecond } = policy() ?? { intervalMs: 0, bytesPerSecond: 1 }
    if (intervalMs === 0) return
    const count = Math.min(maxExtentBlocks, blockCount - first)
    const found = await server.scrub.read(volumeId, first, count)
    // It is in use no more, or what was found must be repaired first: the next look goes on from the record.
    if (found === undefined) return
    damaged += found.reduce((sum, extent) => sum + extent.blockCount, 0)
    if (first > record.nextBlock && first % blocksPerRecord === 0)
      await document.write({ nextBlock: first, endedAtMs: record.endedAtMs })
    if (!(await pause((count * blockSizeBytes * 1000) / bytesPerSecond, signal))) return
  }
  await document.write({ nextBlock: 0, endedAtMs: nowMs() })
  log.info({ volumeId, damagedBlocks: damaged }, 'All blocks of a volume were read again')
}
