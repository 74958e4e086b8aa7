/**
 * `/api/v1/jobs`.
 * @module
 */
import type { Services } from '../services.ts'
import type { JobLog, Jobs, JobTasks } from './answers/job_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { sendArtefact } from '../artefact_response.ts'
import { findJobTask } from '../job_reports.ts'
import { pageOf, pageQuery } from './list_paging.ts'
import { findJob, findJobLog, findJobs } from '../queries.ts'
import { readQuery } from '../request.ts'

/** The routes. */
export function jobRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) => {
    const wanted = readQuery(c, pageQuery)
    const jobs = await findJobs(services.store)
    return c.json(pageOf(jobs, { idOf: ({ jobId }) => jobId, isNewestFirst: true }, wanted) satisfies Jobs)
  })

  app.get('/:id', async (c) => c.json(await findJob(services.store, c.req.param('id'))))

  app.get('/:id/log', async (c) => {
    const { jobId } = await findJob(services.store, c.req.param('id'))
    return c.json({ items: await findJobLog(services.store, jobId) } satisfies JobLog)
  })

  app.get('/:id/tasks', async (c) => {
    const job = await findJob(services.store, c.req.param('id'))
    const tasks = await Promise.all(
      job.participatingServers.map(({ sourceServerId }) => findJobTask(services, job, sourceServerId)),
    )
    return c.json({ items: tasks.filter((task) => task !== undefined) } satisfies JobTasks)
  })

  app.get('/:id/servers/:server/:artefact', async (c) => {
    const job = await findJob(services.store, c.req.param('id'))
    return sendArtefact(c, services, job, c.req.param('server'), c.req.param('artefact'))
  })
  return app
}
