/**
 * Jobs and their logs.
 * @module
 */
import type { Job } from '../../../domain/job.ts'
import type { Services } from '../../services.ts'
import { z } from 'zod'
import { ConflictError } from '../../../domain/errors.ts'
import { findJob, findJobLog, findJobs, findLaunchRuns } from '../../queries.ts'
import { dateTime, jobID, ofAccount, paging } from '../fields.ts'
import { wrongFields } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { isMgnJobLog, mgnJob, mgnJobLog } from '../shapes/job.ts'

/** A time that the pattern allows and that there is not, such as one of the year 99999 or of a 31st of February, is refused here. */
function instantOf(name: string, time: string): number {
  const instant = Date.parse(time)
  const day = time.slice(0, time.indexOf('T'))
  // A day that the month does not have would be read as one of the next month.
  if (Number.isNaN(instant) || !new Date(instant).toISOString().startsWith(day))
    throw wrongFields([{ name, message: 'must be a time that there is' }])
  return instant
}

/** From ending a job a worker takes a moment to telling its servers; minutes when the store is busy, or when it dies in between and the next one does it. */
const tellingMs = 5 * 60_000

/**
 * `jobs` as callers see them: none is over before its servers know of it. Whoever waits for one reads next what was launched, or asks for what a server
 * refuses while it is at work.
 */
async function seenByCallers(
  { fleet, clock }: Pick<Services, 'fleet' | 'clock'>,
  jobs: readonly Job[],
): Promise<Job[]> {
  const now = clock().getTime()
  const hasJustEnded = ({ endedAt }: Job): boolean =>
    endedAt !== undefined && now - Date.parse(endedAt) <= tellingMs
  if (!jobs.some(hasJustEnded)) return [...jobs]
  // As held: what is a moment old still says that the server is at work.
  const untold = new Set((await fleet.latest()).map(({ activeTask }) => activeTask?.jobId))
  return jobs.map((job) => {
    if (!hasJustEnded(job) || !untold.has(job.jobId)) return job
    const { endedAt: _early, ...open } = job
    return { ...open, status: 'STARTED' }
  })
}

export const jobOperations = [
  operation({
    name: 'DescribeJobs',
    status: 200,
    input: z.object({
      filters: z
        .object({
          jobIDs: z.array(jobID).max(1000).optional(),
          fromDate: dateTime.optional(),
          toDate: dateTime.optional(),
        })
        .optional(),
      ...paging,
      ...ofAccount,
    }),
    async run({ services, account }, { filters = {}, ...wanted }) {
      const { jobIDs = [], fromDate, toDate } = filters
      const from = fromDate === undefined ? -Infinity : instantOf('filters.fromDate', fromDate)
      const to = toDate === undefined ? Infinity : instantOf('filters.toDate', toDate)
      const jobs = (await findJobs(services.store)).filter(({ jobId, createdAt }) => {
        const at = Date.parse(createdAt)
        return (jobIDs.length === 0 || jobIDs.includes(jobId)) && at >= from && at <= to
      })
      const { items, ...next } = pageOf(jobs, ({ createdAt, jobId }) => `${createdAt} ${jobId}`, wanted)
      const seen = await seenByCallers(services, items)
      const shown = seen.map(async (job) => mgnJob(job, account, await findLaunchRuns(services.store, job)))
      return { items: await Promise.all(shown), ...next }
    },
  }),
  operation({
    name: 'DescribeJobLogItems',
    status: 200,
    input: z.object({ jobID, ...paging, ...ofAccount }),
    async run({ services }, { jobID: id, ...wanted }) {
      const { jobId } = await findJob(services.store, id)
      const log = (await findJobLog(services.store, jobId)).filter(isMgnJobLog)
      const { items, ...next } = pageOf(log, ({ at, logId }) => `${at} ${logId}`, wanted)
      return { items: items.map(mgnJobLog), ...next }
    },
  }),
  operation({
    name: 'DeleteJob',
    status: 204,
    input: z.object({ jobID, ...ofAccount }),
    async run({ services }, { jobID: id }) {
      const job = await findJob(services.store, id)
      if (job.status !== 'COMPLETED')
        throw new ConflictError(`Job ${job.jobId} is not completed: it is ${job.status}`)
      for (const { sourceServerId } of await findLaunchRuns(services.store, job))
        await services.store.remove('launchRuns', { parent: job.jobId, id: sourceServerId })
      await services.store.remove('job', { id: job.jobId })
      return undefined
    },
  }),
]
