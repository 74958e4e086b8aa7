/**
 * `/api/v1/parameters`: values that post-launch actions take. Names are for operators, values for administrators.
 * @module
 */
import type { Services } from '../services.ts'
import type { Parameters } from './answers/access_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import {
  deleteParameter,
  findParameters,
  openPart,
  parameterRemovalSchema,
  parameterSchema,
  putParameter,
  readParameter,
} from '../parameters.ts'
import { readJson, readQuery } from '../request.ts'
import { revisionVersion } from '../versions.ts'
import { actorOf, requireApiRole } from './bearer.ts'
import { ifMatch, sendTagged } from './entity_tag.ts'

/** The routes. */
export function parameterRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.use(async (c, next) => {
    requireApiRole(c, 'operator')
    return next()
  })

  app.get('/', async (c) =>
    c.json({ items: (await findParameters(services)).map(openPart) } satisfies Parameters),
  )

  app.get('/:name', async (c) => {
    requireApiRole(c, 'admin')
    const { value, revision } = await readParameter(services, c.req.param('name'))
    return sendTagged(c, revisionVersion(revision), value)
  })

  app.put('/:name', async (c) => {
    const wanted = await readJson(c, parameterSchema)
    const by = { actor: actorOf(c), check: ifMatch(c) }
    const { value, revision } = await putParameter(services, c.req.param('name'), wanted, by)
    return sendTagged(c, revisionVersion(revision), openPart(value))
  })

  app.delete('/:name', async (c) => {
    const { force } = readQuery(c, parameterRemovalSchema)
    await deleteParameter(services, c.req.param('name'), { check: ifMatch(c), isForced: force === 'true' })
    return c.body(null, 204)
  })
  return app
}
