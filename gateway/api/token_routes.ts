/**
 * `/api/v1/tokens`: installation tokens.
 * @module
 */
import type { InstallationToken } from '../../domain/enrolment.ts'
import type { Services } from '../services.ts'
import type {
  InstallationTokens,
  InstallationTokenView,
  NewInstallationToken,
} from './answers/access_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { installCommand } from '../install_command.ts'
import {
  createInstallationToken,
  defaultTokenLifetimeMs,
  findInstallationToken,
  revokeInstallationToken,
  tokenLimits,
} from '../people/installation_tokens.ts'
import { findInstallationTokens } from '../queries.ts'
import { readJson } from '../request.ts'
import { revisionVersion } from '../versions.ts'
import { actorOf, requireApiRole } from './bearer.ts'
import { ifMatch, sendTagged } from './entity_tag.ts'

/** The installation token that is asked for. */
export const newTokenSchema = z.strictObject({
  uses: z.int().min(1).max(tokenLimits.maxUses).default(1),
  lifetimeSeconds: z
    .number()
    .min(tokenLimits.minLifetimeMs / 1000)
    .max(tokenLimits.maxLifetimeMs / 1000)
    .default(defaultTokenLifetimeMs / 1000),
})

/** A token without what could be used to guess it, and what only gateways need. */
function openPart({
  secretSha256: _secret,
  pendingUses: _pending,
  ...open
}: InstallationToken): InstallationTokenView {
  return open
}

/** The routes. */
export function tokenRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) =>
    c.json({
      items: (await findInstallationTokens(services.store)).map(openPart),
    } satisfies InstallationTokens),
  )

  app.post('/', async (c) => {
    requireApiRole(c, 'operator')
    const { uses, lifetimeSeconds } = await readJson(c, newTokenSchema)
    const { token, record } = await createInstallationToken(
      services.store,
      {
        purpose: 'AGENT',
        createdBy: actorOf(c),
        at: services.clock().toISOString(),
        uses,
        lifetimeMs: lifetimeSeconds * 1000,
      },
      services.random,
    )
    return c.json(
      {
        ...openPart(record),
        token,
        installCommand: installCommand(services.installation, token),
      } satisfies NewInstallationToken,
      201,
    )
  })

  app.get('/:id', async (c) => {
    const { value, revision } = await findInstallationToken(services.store, c.req.param('id'))
    return sendTagged(c, revisionVersion(revision), openPart(value))
  })

  app.delete('/:id', async (c) => {
    requireApiRole(c, 'operator')
    await revokeInstallationToken(services.store, c.req.param('id'), ifMatch(c))
    return c.body(null, 204)
  })
  return app
}
