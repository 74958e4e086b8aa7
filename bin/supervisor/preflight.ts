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
  const ports = [
    { name: 'REHOST_HTTP_PORT', host: config.httpHost, port: config.httpPort },
    { name: 'REHOST_AGENT_PORT', host: config.listenHost, port: config.agentPort },
    ...(config.cloud === 'qemu'
      ? [{ name: 'REHOST_REPLICATION_PORT', host: config.listenHost, port: config.replicationPort }]
      : []),
    ...(config.isStoreExternal
      ? []
      : [{ name: 'REHOST_DYNAMODB_PORT', host: '127.0.0.1', port: config.dynamodbPort }]),
  ]
  for (const { name, host, port } of ports) {
    const reason = await whyPortUnusable(host, port)
    if (reason === 'EADDRINUSE') {
      wrong.push(
        `Port ${port} on ${host} is taken: stop what uses it (ss -ltnp 'sport = :${port}' shows it) or set ${name}`,
      )
    } else if (reason !== undefined) {
      wrong.push(
        `Cannot listen on ${host}:${port} (${reason}): set ${name} or the host to something this machine has`,
      )
    }
  }
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
}
