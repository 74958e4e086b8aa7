/**
 * The launch history, and one job with what it left.
 * @module
 */
import type { Job } from '../../domain/job.ts'
import type { JobListModel } from '../../views/jobs/list_page.ts'
import type { JobModel } from '../../views/jobs/job_page.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { jobPage, jobParts } from '../../views/jobs/job_page.ts'
import { jobListPage, jobTable } from '../../views/jobs/list_page.ts'
import { sendArtefact } from '../artefact_response.ts'
import { findHostnames, findReports } from '../job_reports.ts'
import { findJob, findJobLog, findJobs } from '../queries.ts'
import { frameFor, sendPage, viewerOf } from './page_context.ts'

/** Jobs on the page; the API has them all. */
const maxJobs = 200

/** The routes. */
export function jobPages(context: PageContext): Hono<PageEnv> {
  const { services, streams } = context
  const app = new Hono<PageEnv>()

  app.get('/jobs', async (c) =>
    sendPage(c, jobListPage(frameFor(context, viewerOf(c)), await jobListModel(context), '/jobs/live')),
  )

  app.get('/jobs/live', (c) =>
    streams.open(c, c.get('signedIn'), 'jobs', async () => {
      const parts = new Map([['job-list', jobTable(await jobListModel(context))]])
      return { frame: '', parts, whole: parts }
    }),
  )

  app.get('/jobs/:id', async (c) => {
    const job = await findJob(services.store, c.req.param('id'))
    const model = await jobModel(context, job)
    return sendPage(c, jobPage(frameFor(context, viewerOf(c)), model, `/jobs/${job.jobId}/live`))
  })

  app.get('/jobs/:id/live', async (c) => {
    const { jobId } = await findJob(services.store, c.req.param('id'))
    return streams.open(c, c.get('signedIn'), JSON.stringify(['job', jobId]), async () => {
      const parts = jobParts(await jobModel(context, await findJob(services.store, jobId)))
      return { frame: '', parts, whole: parts }
    })
  })

  app.get('/jobs/:id/:server/:artefact', async (c) => {
    const job = await findJob(services.store, c.req.param('id'))
    return sendArtefact(c, services, job, c.req.param('server'), c.req.param('artefact'))
  })
  return app
}

async function jobListModel({ services }: PageContext): Promise<JobListModel> {
  const jobs = await findJobs(services.store)
  return { jobs: jobs.slice(0, maxJobs), hostnames: await findHostnames(services), now: services.clock() }
}

async function jobModel({ services }: PageContext, job: Job): Promise<JobModel> {
  const [reports, log] = await Promise.all([
    findReports(services, job),
    findJobLog(services.store, job.jobId),
  ])
  return { job, reports, log, now: services.clock() }
}
