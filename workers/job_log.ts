/**
 * The job log: MGN's events, each line once however often its step runs.
 * @module
 */
import type { JobId, MachineId, SourceServerId } from '../domain/ids.ts'
import type { JobLogEvent, JobLogItem } from '../domain/job.ts'
import { jobLogEvents } from '../domain/job.ts'
import type { Bench } from './bench.ts'
import { RevisionConflictError } from '../store/store.ts'
import { now } from './bench.ts'

/** A line without what is filled in here. */
export interface JobLogLine {
  jobId: JobId
  event: JobLogEvent
  sourceServerId: SourceServerId
  message: string
  /** Tells lines of the same event apart that are not the same line: the step and its attempt. */
  part?: string
  attemptCount?: number
  maxAttemptsCount?: number
  targetInstanceId?: MachineId
  rawError?: string
}

/** Most of an error that a line keeps. */
const maxRawErrorLength = 4000

/** Writes the line unless it is there. */
export async function writeJobLog(
  bench: Pick<Bench, 'store' | 'clock' | 'changes'>,
  line: JobLogLine,
): Promise<void> {
  const { part, rawError, ...rest } = line
  const at = now(bench)
  const logId = [line.sourceServerId, line.event, ...(part === undefined ? [] : [part])].join('-')
  if (await isWritten(bench, line.jobId, logId)) return
  const item: JobLogItem = {
    ...rest,
    logId,
    at,
    ...(rawError === undefined ? {} : { rawError: rawError.slice(0, maxRawErrorLength) }),
  }
  try {
    // Lines of the same millisecond stay in the order in which a job comes to them.
    const rank = String(jobLogEvents.indexOf(line.event)).padStart(2, '0')
    await bench.store.create('jobLog', { parent: line.jobId, id: `${at}-${rank}-${logId}` }, item)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
  await bench.changes.publish({ kind: 'job', id: line.jobId })
}

/** A job's log has a few dozen lines, so looking is cheap and keeps the order by time. */
async function isWritten(bench: Pick<Bench, 'store'>, jobId: JobId, logId: string): Promise<boolean> {
  const { items } = await bench.store.list('jobLog', { parent: jobId, limit: 1000 })
  return items.some(({ value }) => value.logId === logId)
}
