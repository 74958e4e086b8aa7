/**
 * The workers' settings, read once from the environment. A bad value is refused by name.
 * @module
 */
import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import { errorMessage } from '../domain/errors.ts'
import type { AllowedNetworks } from './webhooks/address_guard.ts'
import { sealingKeySchema } from '../store/secret_box.ts'
import { readAllowedNetworks } from './webhooks/address_guard.ts'
import { originOf, originVariables, thresholdVariables, thresholdsOf } from '../queues/event_settings.ts'
import type { DynamoPlace } from '../store/dynamodb/factory.ts'
import { dynamoPlaceOf, dynamoVariables } from '../store/dynamodb/settings.ts'
import type { RecordTable } from '../store/record_settings.ts'
import { recordTableOf, recordVariables } from '../store/record_settings.ts'

const schema = z.object({
  REHOST_DATA_DIR: z.string().min(1).default('.rehost'),
  REHOST_LISTEN_HOST: z.string().min(1).default('0.0.0.0'),
  REHOST_PUBLIC_HOST: z.string().min(1).optional(),
  REHOST_REPLICATION_PORT: z.coerce.number().int().min(0).max(65535).default(1500),
  REHOST_CLOUD: z.string().min(1).default('qemu'),
  REHOST_ACCELERATOR: z.enum(['auto', 'tcg']).default('auto'),
  ...thresholdVariables,
  ...originVariables,
  REHOST_WEBHOOK_ALLOW_PRIVATE: z
    .string()
    .default('')
    .transform((text, context) => {
      try {
        return readAllowedNetworks(text)
      } catch (error) {
        context.addIssue(errorMessage(error))
        return z.NEVER
      }
    }),
  REHOST_SEALING_KEY: sealingKeySchema.optional(),
  REHOST_WEBHOOK_TIMEOUT_SECONDS: z.coerce.number().min(1).max(60).default(15),
  REHOST_TABLE: z.string().min(3).default('rehost'),
  ...recordVariables,
  REDIS_URL: z.string().min(1),
  ...dynamoVariables,
  NODE_COMPILE_CACHE: z.string().optional(),
  PATH: z.string().optional(),
})

/** What the workers need to know. */
export interface WorkersConfig {
  dataDir: string
  listenHost: string
  publicHost: string
  replicationPort: number
  cloud: string
  accelerator: 'auto' | 'tcg'
  thresholds: Thresholds
  origin: EventOrigin
  /** Networks that webhooks may be sent to though they are not public. */
  webhookNetworks: AllowedNetworks
  webhookTimeoutMs: number
  /** In base64. */
  sealingKey: string | undefined
  table: string
  recordTable: RecordTable
  redisUrl: string
  dynamodb: DynamoPlace
  compileCacheDir: string | undefined
  toolPath: string | undefined
}

/** The first address of this machine that others can reach, else loopback. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

/** Reads the settings. @throws TypeError naming every variable that is wrong. */
export function readWorkersConfig(environment: Record<string, string | undefined>): WorkersConfig {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    throw new TypeError(`Cannot read the environment: ${wrong}`)
  }
  const env = parsed.data
  return {
    dataDir: resolve(env.REHOST_DATA_DIR),
    listenHost: env.REHOST_LISTEN_HOST,
    publicHost: env.REHOST_PUBLIC_HOST ?? ownAddress(),
    replicationPort: env.REHOST_REPLICATION_PORT,
    cloud: env.REHOST_CLOUD,
    accelerator: env.REHOST_ACCELERATOR,
    thresholds: thresholdsOf(env),
    origin: originOf(env),
    webhookNetworks: env.REHOST_WEBHOOK_ALLOW_PRIVATE,
    sealingKey: env.REHOST_SEALING_KEY,
    webhookTimeoutMs: env.REHOST_WEBHOOK_TIMEOUT_SECONDS * 1000,
    table: env.REHOST_TABLE,
    recordTable: recordTableOf(env),
    redisUrl: env.REDIS_URL,
    dynamodb: dynamoPlaceOf(env),
    compileCacheDir: env.NODE_COMPILE_CACHE,
    toolPath: env.PATH,
  }
}
