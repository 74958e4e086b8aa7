/**
 * The replicator's settings, read once from the environment. A bad value is refused by name.
 * @module
 */
import { z } from 'zod'

const schema = z.object({
  REHOST_REPLICATION_PORT: z.coerce.number().int().min(0).max(65_535).default(1500),
  REHOST_LISTEN_HOST: z.string().min(1).default('0.0.0.0'),
  REHOST_GATEWAY_URL: z.url({ protocol: /^https$/ }),
  REHOST_CA_PEM_FILE: z.string().min(1),
  REHOST_REPLICATOR_TOKEN_FILE: z.string().min(1),
  REHOST_REPLICATION_SERVER_ID: z.string().min(3).max(64),
  REHOST_REPLICATOR_STATE_DIR: z.string().min(1),
  REDIS_URL: z
    .string()
    .regex(/^(rediss?|unix):\/\//, 'must begin with redis://, rediss:// or unix://')
    .optional(),
})

/** What the replicator works with. */
export interface ReplicatorConfig {
  port: number
  host: string
  gatewayUrl: string
  caPemFile: string
  tokenFile: string
  replicationServerId: string
  stateDir: string
  /** Undefined: no telemetry is reported. */
  redisUrl: string | undefined
}

/**
 * Reads the settings.
 * @throws TypeError naming every variable that is wrong.
 */
export function readReplicatorConfig(environment: Record<string, string | undefined>): ReplicatorConfig {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new TypeError(`Cannot start the replicator with these settings: ${problems.join('; ')}`)
  }
  const env = parsed.data
  return {
    port: env.REHOST_REPLICATION_PORT,
    host: env.REHOST_LISTEN_HOST,
    gatewayUrl: env.REHOST_GATEWAY_URL,
    caPemFile: env.REHOST_CA_PEM_FILE,
    tokenFile: env.REHOST_REPLICATOR_TOKEN_FILE,
    replicationServerId: env.REHOST_REPLICATION_SERVER_ID,
    stateDir: env.REHOST_REPLICATOR_STATE_DIR,
    redisUrl: env.REDIS_URL,
  }
}
