/**
 * `/api/v1/servers`.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { ServerTelemetry } from '../../wire/telemetry.ts'
import type { Services } from '../services.ts'
import type { DecidedActions, ServerEvents, ServerPage, ServerView } from './answers/server_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { decideAction, serverActions } from '../../domain/actions.ts'
import { certificateOf, certificateType } from '../../domain/certificate.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { hasNoAgentYet } from '../../domain/source_server.ts'
import { signDocument } from '../certificate_signer.ts'
import { chooseDisk, diskChoiceSchema } from '../disk_choices.ts'
import { actionOfSlug, actionSlugs, performAction } from '../actions.ts'
import { changeLaunchConfiguration, launchConfigurationSchema } from '../launch_settings.ts'
import { changeProtection, protectionOf, protectionSchema } from '../protection_settings.ts'
import { findAllEvents, findEvents, findFigures, findServer } from '../queries.ts'
import { changeReplicationConfiguration, replicationConfigurationSchema } from '../replication_settings.ts'
import { readJson, readQuery } from '../request.ts'
import { actorOf, requireApiRole } from './bearer.ts'
import { ifMatch, sendHashed } from './entity_tag.ts'
import { pageOf, pageQuery, unreadableToken } from './list_paging.ts'

/** What is kept of an agent that is yet to come names no version and no certificate: whoever watches certificates would take it for an expired one. */
function agentOf(server: SourceServer): ServerView['agent'] {
  if (!hasNoAgentYet(server)) return server.agent
  const { version: _version, certificateSerial: _serial, certificateNotAfter: _end, ...told } = server.agent
  return told
}

/** Events are answered by themselves, whether they are listed yet or still wait in the item of the server. */
function viewOf(stored: SourceServer, telemetry: ServerTelemetry | undefined): ServerView {
  const { outbox: _outbox, eventSequence: _sequence, ...server } = stored
  const endpoints = server.launchedInstance?.endpoints
  return {
    ...server,
    agent: agentOf(stored),
    ...(telemetry === undefined ? {} : { telemetry }),
    ...(endpoints === undefined ? {} : { endpoints }),
  }
}

/** Which servers are asked for. */
export const serverListQuery = pageQuery.extend({
  archived: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'Whether archived servers are listed too' }),
})
/** Which events of a server are asked for: the newest, or those before the last one of the page before. */
export const serverEventsQuery = pageQuery

/** The sequence that a token of a page of events names. @throws InvalidInputError for one that is not ours. */
function sequenceOf(token: string): number {
  if (!/^[1-9]\d{0,11}$/.test(token)) throw unreadableToken()
  return Number(token)
}

/** The routes. */
export function serverRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  const view = async (server: SourceServer): Promise<ServerView> => {
    const figures = await findFigures(services, [server.sourceServerId])
    return viewOf(server, figures.byServer.get(server.sourceServerId))
  }

  app.get('/', async (c) => {
    const { archived, ...wanted } = readQuery(c, serverListQuery)
    const servers = (await services.fleet.latest()).filter(
      (server) => archived === 'true' || !server.isArchived,
    )
    const { items, ...next } = pageOf(servers, { idOf: (server) => server.sourceServerId }, wanted)
    const figures = await findFigures(
      services,
      items.map(({ sourceServerId }) => sourceServerId),
    )
    return c.json({
      items: items.map((server) => viewOf(server, figures.byServer.get(server.sourceServerId))),
      ...next,
    } satisfies ServerPage)
  })

  app.get('/:id', async (c) => sendHashed(c, await view(await findServer(services.store, c.req.param('id')))))

  app.get('/:id/events', async (c) => {
    const { limit, nextToken } = readQuery(c, serverEventsQuery)
    const before = nextToken === undefined ? undefined : sequenceOf(nextToken)
    const server = await findServer(services.store, c.req.param('id'))
    const items = await findEvents(services.store, server, limit, before)
    const last = items.at(-1)?.sequence ?? 1
    // They are numbered from 1 without gaps.
    return c.json({ items, ...(last > 1 ? { nextToken: String(last) } : {}) } satisfies ServerEvents)
  })

  app.get('/:id/actions', async (c) => {
    const server = await findServer(services.store, c.req.param('id'))
    return c.json({
      items: serverActions.map((action) => ({
        action: actionSlugs[action],
        ...decideAction(server, action),
      })),
    } satisfies DecidedActions)
  })

  app.get('/:id/forecast', async (c) =>
    c.json(await services.forecasts.of(await findServer(services.store, c.req.param('id')))),
  )

  app.get('/:id/certificate', async (c) => {
    const server = await findServer(services.store, c.req.param('id'))
    const events = await findAllEvents(services.store, server)
    const certificate = certificateOf(server, events, {
      issuedAt: services.clock().toISOString(),
      accountId: services.account.accountId,
      rehostVersion: services.installation.version,
    })
    return c.json(await signDocument(services, certificateType, certificate))
  })

  app.post('/:id/actions/:action', async (c) => {
    requireApiRole(c, 'operator')
    const server = await findServer(services.store, c.req.param('id'))
    const action = actionOfSlug(c.req.param('action'), server)
    if (action === undefined) throw new NotFoundError('action', c.req.param('action'))
    return c.json(await view(await performAction(services, server.sourceServerId, action, actorOf(c))))
  })

  app.get('/:id/protection', async (c) =>
    sendHashed(c, protectionOf(await findServer(services.store, c.req.param('id')))),
  )

  app.put('/:id/protection', async (c) => {
    requireApiRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const change = await readJson(c, protectionSchema)
    return c.json(
      await view(await changeProtection(services, sourceServerId, change, actorOf(c), ifMatch(c))),
    )
  })

  app.post('/:id/disks', async (c) => {
    requireApiRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const choice = await readJson(c, diskChoiceSchema)
    return c.json(await view(await chooseDisk(services, sourceServerId, choice, actorOf(c))))
  })

  app.get('/:id/replication-configuration', async (c) => {
    const { replicationConfiguration } = await findServer(services.store, c.req.param('id'))
    return sendHashed(c, replicationConfiguration)
  })

  app.put('/:id/replication-configuration', async (c) => {
    requireApiRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const change = await readJson(c, replicationConfigurationSchema)
    return c.json(
      await view(
        await changeReplicationConfiguration(services, sourceServerId, change, actorOf(c), ifMatch(c)),
      ),
    )
  })

  app.get('/:id/launch-configuration', async (c) => {
    const { launchConfiguration } = await findServer(services.store, c.req.param('id'))
    return sendHashed(c, launchConfiguration)
  })

  app.put('/:id/launch-configuration', async (c) => {
    requireApiRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const change = await readJson(c, launchConfigurationSchema)
    return c.json(
      await view(await changeLaunchConfiguration(services, sourceServerId, change, actorOf(c), ifMatch(c))),
    )
  })
  return app
}
