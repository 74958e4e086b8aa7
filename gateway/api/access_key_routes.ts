/**
 * `/api/v1/access-keys`: keys for programs that sign as AWS's do. For administrators: who makes a key decides what it may do.
 * @module
 */
import type { AccessKey } from '../../domain/enrolment.ts'
import type { Services } from '../services.ts'
import type { AccessKeys, AccessKeyView, NewAccessKey } from './answers/access_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import {
  accessKeyVersion,
  deleteAccessKey,
  findAccessKey,
  setAccessKeyStatus,
} from '../people/access_keys.ts'
import { accessKeySchema, createAccessKey } from '../people/new_access_key.ts'
import { findAccessKeys } from '../queries.ts'
import { readJson } from '../request.ts'
import { actorOf, requireApiRole } from './bearer.ts'
import { ifMatch, sendTagged } from './entity_tag.ts'

/** The status that a key is to have. */
export const keyStatusSchema = z.strictObject({ status: z.enum(['ACTIVE', 'INACTIVE']) })

/** A key without its secret, sealed as it is. */
function openPart({ sealedSecret: _secret, ...open }: AccessKey): AccessKeyView {
  return open
}

/** The routes. */
export function accessKeyRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.use(async (c, next) => {
    requireApiRole(c, 'admin')
    return next()
  })

  app.get('/', async (c) =>
    c.json({ items: (await findAccessKeys(services.store)).map(openPart) } satisfies AccessKeys),
  )

  app.post('/', async (c) => {
    const wanted = await readJson(c, accessKeySchema)
    const { record, secretAccessKey } = await createAccessKey(services, wanted, actorOf(c))
    return c.json({ ...openPart(record), secretAccessKey } satisfies NewAccessKey, 201)
  })

  app.get('/:id', async (c) => {
    const { value } = await findAccessKey(services.store, c.req.param('id'))
    return sendTagged(c, accessKeyVersion(value), openPart(value))
  })

  app.put('/:id/status', async (c) => {
    const { status } = await readJson(c, keyStatusSchema)
    const id = c.req.param('id')
    const { value } = await setAccessKeyStatus(services.store, id, status, ifMatch(c))
    return sendTagged(c, accessKeyVersion(value), openPart(value))
  })

  app.delete('/:id', async (c) => {
    await deleteAccessKey(services.store, c.req.param('id'), ifMatch(c))
    return c.body(null, 204)
  })
  return app
}
