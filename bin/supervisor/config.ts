/**
 * The supervisor's settings, read once from the environment. A bad value is refused by name.
 * @module
 */
import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { providerNames } from '../../cloud/registry.ts'
import { recordTableOf, recordVariables } from '../../store/record_settings.ts'

const notAPort = 'a port is a number from 1 to 65535'
const port = (fallback: number) =>
  z.coerce.number(notAPort).int(notAPort).min(1, notAPort).max(65535, notAPort).default(fallback)

const schema = z.object({
  REHOST_DATA_DIR: z.string().min(1).default('.rehost'),
  REHOST_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  REHOST_HTTP_PORT: port(8080),
  REHOST_AGENT_PORT: port(8443),
  REHOST_REPLICATION_PORT: port(1500),
  REHOST_DYNAMODB_PORT: port(8042),
  REHOST_LISTEN_HOST: z.string().min(1).default('0.0.0.0'),
  REHOST_PUBLIC_HOST: z.string().min(1).optional(),
  REHOST_CLOUD: z
    .string()
    .default('qemu')
    .refine((name) => providerNames.includes(name), {
      error: ({ input }) => `there is no cloud ${String(input)}; known are ${providerNames.join(', ')}`,
    }),
  REHOST_ACCELERATOR: z.enum(['auto', 'tcg']).default('auto'),
  REHOST_TABLE: z.string().min(3).default('rehost'),
  // Inherited by gateway and workers; a bad value is told before anything starts.
  ...recordVariables,
  REHOST_SHUTDOWN_SECONDS: z.coerce.number().min(0).max(3600).default(60),
  REHOST_STORE: z.enum(['embedded', 'dynamodb']).optional(),
  REDIS_URL: z.string().optional(),
  AWS_ENDPOINT_URL_DYNAMODB: z.string().optional(),
})

/** What `rehost up` works with. */
export interface SupervisorConfig {
  dataDir: string
  httpHost: string
  httpPort: number
  agentPort: number
  replicationPort: number
  dynamodbPort: number
  listenHost: string
  /** What agents call the gateway and the replication server. */
  publicHost: string
  cloud: string
  /** Whether machines on this host may use KVM. */
  accelerator: 'auto' | 'tcg'
  table: string
  /** How long the guests of launched machines may take to shut down when the service stops. */
  shutdownMs: number
  /** Undefined: a private Redis is started. */
  redisUrl: string | undefined
  /** The store is somebody else's: real DynamoDB, or an endpoint that is already there. */
  isStoreExternal: boolean
}

/** The first address of this machine that others can reach, else loopback. */
export function defaultPublicHost(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find((address) => address.family === 'IPv4' && !address.internal)?.address ?? '127.0.0.1'
}

/**
 * Reads the settings.
 * @throws TypeError naming every variable that is wrong.
 */
export function readSupervisorConfig(environment: Record<string, string | undefined>): SupervisorConfig {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    throw new TypeError(`Cannot read the environment: ${wrong}`)
  }
  const env = parsed.data
  // Gateway and workers read it again; what is wrong with it is told before anything starts.
  recordTableOf(env)
  // Region and credentials say nothing: whoever uses AWS for anything has them. Nor does AWS_ENDPOINT_URL: it may lead MGN's clients to Rehost itself.
  const hasEndpoint = env.AWS_ENDPOINT_URL_DYNAMODB !== undefined
  return {
    dataDir: resolve(env.REHOST_DATA_DIR),
    httpHost: env.REHOST_HTTP_HOST,
    httpPort: env.REHOST_HTTP_PORT,
    agentPort: env.REHOST_AGENT_PORT,
    replicationPort: env.REHOST_REPLICATION_PORT,
    dynamodbPort: env.REHOST_DYNAMODB_PORT,
    listenHost: env.REHOST_LISTEN_HOST,
    publicHost: env.REHOST_PUBLIC_HOST ?? defaultPublicHost(),
    cloud: env.REHOST_CLOUD,
    accelerator: env.REHOST_ACCELERATOR,
    table: env.REHOST_TABLE,
    shutdownMs: env.REHOST_SHUTDOWN_SECONDS * 1000,
    redisUrl: env.REDIS_URL,
    isStoreExternal: (env.REHOST_STORE ?? (hasEndpoint ? 'dynamodb' : 'embedded')) === 'dynamodb',
  }
}
