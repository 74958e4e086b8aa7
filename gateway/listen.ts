/**
 * Listening on the two ports, and stopping again.
 * @module
 */
import type { ServerType } from '@hono/node-server'
import type { GatewayIdentity } from './certificates/embedded_ca.ts'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { OnRefused, PlaceLimits } from '../wire/connection_places.ts'
import { ConnectionPlaces } from '../wire/connection_places.ts'

/** Where to listen, and what the variables are called that say so. */
export interface Listening {
  host: string
  port: number
  hostVariable: string
  portVariable: string
}

/** An app as Hono makes it. */
export interface App {
  fetch(request: Request, environment?: object): Response | Promise<Response>
}

/** How many connections there may be, and who hears of one that was refused. */
export interface Admission {
  limits: PlaceLimits
  onRefused: OnRefused
}

/** Connections that are idle are kept for the next heartbeat. */
const keepAliveTimeoutMs = 30_000

/** A client that takes longer has no good reason to: what agents send is small. */
const deadlines = {
  handshakeTimeout: 10_000,
  headersTimeout: 15_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5000,
}

/** Agents have one connection each. After a restart of the gateway they all come at once, and each is unknown until its handshake is over. */
export const agentPortPlaces: PlaceLimits = { maxUnknown: 1536, maxConnections: 20_000 }

/** Answers that are under way may finish; then the rest is cut off. */
const graceMs = 1500

/** Reasons that are about the host, whatever the port is. */
const hostReasons: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'])

/** Resolves once `server` listens. @throws Error naming what is wrong and the variable when it cannot. */
async function listen(server: ServerType, where: Listening): Promise<void> {
  const { host, port, hostVariable, portVariable } = where
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? `port ${port} on ${host} is taken: stop what uses it, or set ${portVariable} to another port`
          : error.code === 'EACCES'
            ? `port ${port} needs more rights: set ${portVariable} to a port above 1023`
            : hostReasons.has(error.code)
              ? `${host} is no address of this machine: set ${hostVariable} to one, or to 0.0.0.0 for all of them`
              : 'the system refused'
      reject(new Error(`Cannot listen: ${why}`, { cause: error }))
    })
    server.listen(port, host, () => resolve())
  })
}

/** Plain HTTP, for operators; HTTPS is put before it where it is needed. */
export async function listenHttp(app: App, where: Listening): Promise<ServerType> {
  const server = createAdaptorServer({ fetch: (request, env) => app.fetch(request, env) })
  await listen(server, where)
  return server
}

/** HTTPS with TLS 1.3 alone. Client certificates are asked for and checked by each call: first contact has none yet. */
export async function listenTls(
  app: App,
  identity: GatewayIdentity,
  caPem: string,
  where: Listening,
  { limits, onRefused }: Admission,
): Promise<{ server: ServerType; renew: (identity: GatewayIdentity) => void }> {
  const server = createAdaptorServer({
    fetch: (request, env) => app.fetch(request, env),
    createServer,
    serverOptions: {
      ...secureContext(identity, caPem),
      requestCert: true,
      rejectUnauthorized: false,
      keepAliveTimeout: keepAliveTimeoutMs,
      ...deadlines,
    },
  }) as Server
  const places = new ConnectionPlaces(limits, onRefused)
  server.on('connection', (socket: Socket) => places.admit(socket))
  server.on('secureConnection', (socket) => {
    // By a certificate of ours; which calls it may make is looked at in each of them.
    if (socket.authorized) places.know(socket)
  })
  await listen(server, where)
  return { server, renew: (next) => server.setSecureContext(secureContext(next, caPem)) }
}

function secureContext(identity: GatewayIdentity, caPem: string) {
  return {
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: caPem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
  } as const
}

/** Takes no more connections, lets answers finish for a moment, then ends what is left. */
export async function stopListening(server: ServerType): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  if ('closeIdleConnections' in server) server.closeIdleConnections()
  const cutOff = setTimeout(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
  }, graceMs)
  await closed
  clearTimeout(cutOff)
}
