/**
 * `/api/v1/parameters`: values that post-launch actions take. Names are for operators, values for administrators.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import {
  deleteParameter,
  findParameters,
  openPart,
  parameterSchema,
  putParameter,
  readParameter,
} from '../parameters.ts'
import { readJson } from '../request.ts'
import { actorOf, requireApiRole } from './bearer.ts'

/** The routes. */
export function parameterRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.use(async (c, next) => {
    requireApiRole(c, 'operator')
    return next()
  })

  app.get('/', async (c) => c.json({ items: (await findParameters(services)).map(openPart) }))

  app.get('/:name', async (c) => {
    requireApiRole(c, 'admin')
    return c.json(await readParameter(services, c.req.param('name')))
  })

  app.put('/:name', async (c) => {
    const wanted = await readJson(c, parameterSchema)
    return c.json(openPart(await putParameter(services, c.req.param('name'), wanted, actorOf(c))))
  })

  app.delete('/:name', async (c) => {
    await deleteParameter(services, c.req.param('name'))
    return c.body(null, 204)
  })
  return app
}
