/**
 * What must hold before the first process starts: tools and ports.
 * @module
 */
import { access } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import type { SupervisorConfig } from './config.ts'

/** Finds `tool` on `path`; undefined when it is not there. */
async function findTool(tool: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder, tool)
    const found = await access(candidate).then(
      () => true,
      () => false,
    )
    if (found) return candidate
  }
  return undefined
}

/** What somebody listens on, and the variables that say so. */
interface Place {
  host: string
  port: number
  hostVariable?: string
  portVariable: string
}

/** Reasons that are about the host, whatever the port is. */
const hostReasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name cannot be looked up now',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EAFNOSUPPORT: 'this machine has no addresses of that kind',
  EINVAL: 'it is no address to listen on; one that begins with fe80 needs its interface too, as fe80::1%eth0',
}

/** Why `place` cannot be listened on, and what to do; the same words for every port of a host that is wrong. Exported for tests. */
export function placeProblem({ host, port, hostVariable, portVariable }: Place, reason: string): string {
  if (reason === 'EADDRINUSE')
    return `Port ${port} on ${host} is taken: stop what uses it (ss -ltnp 'sport = :${port}' shows it) or set ${portVariable}`
  const why = hostReasons[reason]
  if (why !== undefined && hostVariable !== undefined)
    return `Cannot listen on ${host} (${reason}): ${why}; set ${hostVariable} to an address of this machine, or to 0.0.0.0 for all of them`
  return `Cannot listen on ${host}:${port} (${reason}): set ${portVariable} to a port that may be listened on`
}

/** Whether a server may listen on `port`; the reason if not. */
function whyPortUnusable(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** `port` if nobody has it, else one that is free now. */
export async function freePortOr(host: string, port: number): Promise<number> {
  if ((await whyPortUnusable(host, port)) === undefined) return port
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port))
    })
  })
}

/**
 * Checks tools and ports.
 * @throws Error listing everything that is wrong at once, each with what to do.
 */
export async function checkBeforeStart(config: SupervisorConfig, path: string): Promise<void> {
  const wrong: string[] = []
  const tools = ['setpriv', ...(config.redisUrl === undefined ? ['redis-server'] : [])]
  if (config.cloud === 'qemu') tools.push('qemu-system-x86_64', 'qemu-img', 'guestfish')
  for (const tool of tools) {
    if ((await findTool(tool, path)) === undefined)
      wrong.push(`Cannot find ${tool} on PATH: run scripts/setup, which installs it`)
  }
  const ofOperators = { host: config.httpHost, hostVariable: 'REHOST_HTTP_HOST' }
  const ofAgents = { host: config.listenHost, hostVariable: 'REHOST_LISTEN_HOST' }
  const places: Place[] = [
    { ...ofOperators, port: config.httpPort, portVariable: 'REHOST_HTTP_PORT' },
    { ...ofAgents, port: config.agentPort, portVariable: 'REHOST_AGENT_PORT' },
  ]
  if (config.cloud === 'qemu')
    places.push({ ...ofAgents, port: config.replicationPort, portVariable: 'REHOST_REPLICATION_PORT' })
  if (!config.isStoreExternal)
    places.push({ host: '127.0.0.1', port: config.dynamodbPort, portVariable: 'REHOST_DYNAMODB_PORT' })
  for (const place of places) {
    const reason = await whyPortUnusable(place.host, place.port)
    if (reason !== undefined) wrong.push(placeProblem(place, reason))
  }
  if (wrong.length > 0) throw new Error([...new Set(wrong)].join('\n'))
}
