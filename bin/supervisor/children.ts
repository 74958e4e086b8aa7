/**
 * The processes of the embedded service, in the order they start.
 * @module
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { ChildSpec } from './child.ts'
import type { SupervisorConfig } from './config.ts'
import { dashboardUrl, reachableHost } from '../reach.ts'

/** Unix socket paths end at 107 bytes; the data folder may be deep, so a long one moves the socket to a short place. */
const maxSocketPathBytes = 100

/** Where the private Redis listens; undefined where the data folder lies too deep for a socket in it. */
export function redisSocketPath(config: SupervisorConfig): string | undefined {
  const own = join(config.dataDir, 'redis', 'redis.sock')
  return Buffer.byteLength(own) <= maxSocketPathBytes ? own : undefined
}

/** What every process of the service is told. The embedded store gets a new key each time, which it asks everybody for. */
export function childEnvironment(
  config: SupervisorConfig,
  inherited: Record<string, string | undefined>,
  redisSocket: string,
): Record<string, string | undefined> {
  const store = config.isStoreExternal
    ? { REHOST_STORE_ACCESS_KEY_ID: undefined, REHOST_STORE_SECRET_ACCESS_KEY: undefined }
    : {
        AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${config.dynamodbPort}`,
        // Not the usual variables: those may hold the credentials of a file store or a cloud.
        REHOST_STORE_ACCESS_KEY_ID: randomBytes(32).toString('hex'),
        REHOST_STORE_SECRET_ACCESS_KEY: randomBytes(32).toString('hex'),
      }
  return {
    ...inherited,
    ...store,
    REHOST_DATA_DIR: config.dataDir,
    REHOST_HTTP_HOST: config.httpHost,
    REHOST_HTTP_PORT: String(config.httpPort),
    REHOST_AGENT_PORT: String(config.agentPort),
    REHOST_REPLICATION_PORT: String(config.replicationPort),
    REHOST_DYNAMODB_PORT: String(config.dynamodbPort),
    REHOST_LISTEN_HOST: config.listenHost,
    REHOST_PUBLIC_HOST: config.publicHost,
    REHOST_CLOUD: config.cloud,
    REHOST_ACCELERATOR: config.accelerator,
    REHOST_TABLE: config.table,
    REDIS_URL: config.redisUrl ?? `unix://${redisSocket}`,
  }
}

/** Secrets of an operator, and the processes that need them: what another one says of its environment in a crash holds none. */
const secretsOf: Readonly<Record<string, readonly string[]>> = {
  REHOST_ADMIN_PASSWORD: ['gateway'],
  REHOST_ACCESS_KEY_ID: ['gateway'],
  REHOST_SECRET_ACCESS_KEY: ['gateway'],
  REHOST_SEALING_KEY: ['gateway', 'workers'],
  REHOST_API_TOKEN: [],
  REHOST_STORE_SECRET_ACCESS_KEY: ['gateway', 'workers'],
  AWS_SECRET_ACCESS_KEY: ['gateway', 'workers'],
  AWS_SESSION_TOKEN: ['gateway', 'workers'],
}

/**
 * What V8 is told in the process `name`. The gateway of a large fleet answers late at each collection of all garbage, which V8 begins when the heap has
 * grown by about a third: it may double.
 */
const v8OptionsOf: Readonly<Record<string, readonly string[]>> = { gateway: ['--heap-growing-percent=100'] }

/** `environment` for the process `name`. */
function environmentOf(
  name: string,
  environment: Record<string, string | undefined>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(environment).filter(([variable]) => secretsOf[variable]?.includes(name) ?? true),
  )
}

/** Whether something answers on a TCP port or a unix socket. */
export function answers(target: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(target)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** The children, first to start first. Redis and the store are left out when they are somebody else's. */
export function childSpecs(
  config: SupervisorConfig,
  root: string,
  environment: Record<string, string | undefined>,
  redisSocket: string,
): ChildSpec[] {
  const logFile = (name: string) => join(config.dataDir, 'logs', `${name}.log`)
  const node = (name: string, file: string, isReady: () => Promise<boolean>): ChildSpec => ({
    name,
    command: process.execPath,
    args: [...(v8OptionsOf[name] ?? []), '--disable-warning=ExperimentalWarning', join(root, file)],
    environment: environmentOf(name, environment),
    logFile: logFile(name),
    isReady,
  })
  const redis: ChildSpec = {
    name: 'redis',
    command: 'redis-server',
    args: [
      ...[
        '--port',
        '0',
        '--unixsocket',
        redisSocket,
        '--unixsocketperm',
        '700',
        '--dir',
        join(config.dataDir, 'redis'),
      ],
      // Queue entries must survive a crash; an evicted key would be a lost wake-up.
      ...[
        '--appendonly',
        'yes',
        '--appendfsync',
        'everysec',
        '--maxmemory-policy',
        'noeviction',
        '--save',
        '',
      ],
      ...['--daemonize', 'no'],
    ],
    environment: environmentOf('redis', environment),
    logFile: logFile('redis'),
    isReady: () => answers({ path: redisSocket }),
  }
  const http = dashboardUrl(config.httpHost, config.httpPort)
  return [
    ...(config.redisUrl === undefined ? [redis] : []),
    ...(config.isStoreExternal
      ? []
      : [
          node('dynamodb', 'store/embedded/main.ts', () =>
            answers({ host: '127.0.0.1', port: config.dynamodbPort }),
          ),
        ]),
    node(
      'gateway',
      'gateway/main.ts',
      async () => (await fetchOk(`${http}/readyz`)) && answersAgentPort(config),
    ),
    node('workers', 'workers/main.ts', async () => true),
  ]
}

async function answersAgentPort(config: SupervisorConfig): Promise<boolean> {
  return answers({
    host: reachableHost(config.listenHost),
    port: config.agentPort,
  })
}

async function fetchOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
    await response.arrayBuffer()
    return response.ok
  } catch (error) {
    // Not listening yet; anything else than a failed connection is a mistake of ours and must show.
    if (error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError'))
      return false
    throw error
  }
}
