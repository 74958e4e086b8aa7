/**
 * The agent port: downloads for installers, first contact with a token, and the calls of enrolled agents and replication servers.
 * @module
 */
import type { Context } from 'hono'
import type { KnownServers, PeerLookup } from './agent_api/identity.ts'
import type { Services } from './services.ts'
import { Hono } from 'hono'
import {
  agentEnrolSchema,
  agentHeartbeatSchema,
  agentStartSchema,
  consistencyReachedSchema,
  renewSchema,
  replicatorEnrolSchema,
  replicatorHeartbeatSchema,
} from '../wire/control_api.ts'
import { agentDownloadName } from '../wire/install_script.ts'
import { agentBeats, agentLeaves, agentRenews, agentStarts } from './agent_api/agent_calls.ts'
import { enrolAgent, enrolReplicator, requireTries, withTokenLimit } from './agent_api/enrol.ts'
import { authenticateAgent, authenticateReplicator } from './agent_api/identity.ts'
import { namedReplicator, namedServer, rememberRefusal, shownTokenId } from './agent_api/remember.ts'
import { replicatorBeats, replicatorReaches, replicatorRenews } from './agent_api/replicator_calls.ts'
import { limitBody } from './body_limit.ts'
import { installScript } from './install_command.ts'
import { Refusal, asRefusal, logFailure, problemResponse } from './problem.ts'
import { Refusals } from './refusals.ts'
import { readJson } from './request.ts'

/** An inventory of a thousand disks fits; anything larger is no honest agent. */
const maxBodyBytes = 2 * 1024 * 1024

/** Makes the app. `peerOf` finds the client certificate of a request. */
export function createAgentApp(services: Services, peerOf: PeerLookup): Hono {
  const app = new Hono()
  const { servers: heldServers } = services.held
  const readServer = (id: string) => heldServers.readAnew(id)
  const storedServers: KnownServers = { read: readServer, readAnew: readServer }
  const agent = (c: Context, servers = storedServers) => {
    const peer = peerOf(c)
    const authenticated = () => authenticateAgent(servers, peer, services.clock())
    const subject = namedServer(peer)
    return subject === undefined
      ? authenticated()
      : rememberRefusal(services, c, 'CERTIFICATE', { subject }, authenticated)
  }
  // No page has a place for these; they are counted for the log.
  const logged = { refusals: new Refusals(services.clock), refusalLog: services.refusalLog }
  const replicator = (c: Context) => {
    const peer = peerOf(c)
    const authenticated = () => authenticateReplicator(services.store, peer, services.clock())
    const subject = namedReplicator(peer)
    return subject === undefined
      ? authenticated()
      : rememberRefusal(logged, c, 'CERTIFICATE', { subject }, authenticated)
  }
  const withToken = async (c: Context, use: () => Promise<Response>): Promise<Response> => {
    await rememberRefusal(logged, c, 'ENROLMENT', {}, () => requireTries(services, c))
    return withTokenLimit(services, c, use)
  }

  app.use(limitBody(maxBodyBytes))
  app.get('/livez', (c) => c.text('ok\n'))
  app.get('/install.sh', async (c) =>
    c.body(await installScript(services), 200, { 'Content-Type': 'text/x-shellscript' }),
  )
  app.get(`/agent/${agentDownloadName}`, async (c) => {
    const { body, sizeBytes } = await services.downloads.file()
    return c.body(body, 200, { 'Content-Type': 'application/gzip', 'Content-Length': String(sizeBytes) })
  })
  app.get(`/agent/${agentDownloadName}.sha256`, async (c) =>
    c.text(`${await services.downloads.sha256()}  ${agentDownloadName}\n`),
  )

  app.post('/agent/v1/enrol', (c) =>
    withToken(c, async () => {
      const body = await readJson(c, agentEnrolSchema)
      const tokenId = shownTokenId(body.token)
      const subject = body.sourceProperties.identificationHints.hostname
      const enrolled = () => enrolAgent(services, body)
      return c.json(await rememberRefusal(services, c, 'ENROLMENT', { subject, tokenId }, enrolled))
    }),
  )
  app.post('/replicator/v1/enrol', (c) =>
    withToken(c, async () => {
      const body = await readJson(c, replicatorEnrolSchema)
      const about = { subject: body.replicationServerId, tokenId: shownTokenId(body.token) }
      const enrolled = () => enrolReplicator(services, body)
      return c.json(await rememberRefusal(logged, c, 'ENROLMENT', about, enrolled))
    }),
  )
  app.post('/agent/v1/start', async (c) =>
    c.json(await agentStarts(services, await agent(c), await readJson(c, agentStartSchema))),
  )
  app.post('/agent/v1/heartbeat', async (c) =>
    c.json(await agentBeats(services, await agent(c, heldServers), await readJson(c, agentHeartbeatSchema))),
  )
  app.post('/agent/v1/renew', async (c) =>
    c.json(await agentRenews(services, await agent(c), await readJson(c, renewSchema))),
  )
  app.post('/agent/v1/uninstalled', async (c) => {
    await agentLeaves(services, await agent(c))
    return c.json({})
  })
  app.post('/replicator/v1/heartbeat', async (c) =>
    c.json(
      await replicatorBeats(services, await replicator(c), await readJson(c, replicatorHeartbeatSchema)),
    ),
  )
  app.post('/replicator/v1/renew', async (c) =>
    c.json(await replicatorRenews(services, await replicator(c), await readJson(c, renewSchema))),
  )
  app.post('/replicator/v1/consistency-points', async (c) => {
    await replicatorReaches(services, await replicator(c), await readJson(c, consistencyReachedSchema))
    return c.json({})
  })

  app.notFound((c) =>
    problemResponse(c, new Refusal(404, 'not-found', `There is nothing at ${c.req.path} on the agent port`)),
  )
  app.onError((error, c) => {
    const refusal = asRefusal(error)
    logFailure(services.log, c, refusal)
    return problemResponse(c, refusal)
  })
  return app
}
