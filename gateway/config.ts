/**
 * What the gateway is told by its environment; a bad value is refused by name before anything starts.
 * @module
 */
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { isAccessKeyId } from '../domain/access_key.ts'
import { errorMessage } from '../domain/errors.ts'
import type { PresetAccessKey } from './people/access_keys.ts'
import type { RatePolicy } from './request_rates.ts'
import type { OwnAccount, Quotas } from './mgn/account.ts'
import type { RecordTable } from '../store/record_settings.ts'
import { recordTableOf, recordVariables } from '../store/record_settings.ts'
import type { DynamoPlace } from '../store/dynamodb/factory.ts'
import { dynamoPlaceOf, dynamoVariables } from '../store/dynamodb/settings.ts'
import { fileVariables, s3PlaceOf } from './file_settings.ts'
import type { S3Place } from './s3_files.ts'
import { standardQuotas } from './mgn/account.ts'
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import { originOf, originVariables, thresholdVariables, thresholdsOf } from '../queues/event_settings.ts'
import type { ScrubPolicy } from './services.ts'
import { sealingKeySchema } from '../store/secret_box.ts'
import { TrustedProxies } from './trusted_proxies.ts'

const port = (standard: number) => z.coerce.number().int().min(1).max(65_535).default(standard)

/** Such as `waves=100,applications=500`; what is left out has its standard. */
const quotas = z
  .string()
  .default('')
  .transform((text, context): Quotas => {
    const given: Partial<Quotas> = {}
    for (const part of text.split(/[\s,]+/).filter((word) => word !== '')) {
      const [, name = '', value = ''] = /^(\w+)=(\d+)$/.exec(part) ?? []
      if (!Object.hasOwn(standardQuotas, name) || Number(value) < 1) {
        context.addIssue(`${part}: write NAME=NUMBER with one of ${Object.keys(standardQuotas).join(', ')}`)
        return z.NEVER
      }
      given[name as keyof Quotas] = Number(value)
    }
    return { ...standardQuotas, ...given }
  })

/** Addresses and networks with commas between them. */
const proxies = z
  .string()
  .default('')
  .transform((text, context) => {
    try {
      return new TrustedProxies(text.split(/[\s,]+/).filter((place) => place !== ''))
    } catch (error) {
      context.addIssue(errorMessage(error))
      return z.NEVER
    }
  })

const schema = z.object({
  REHOST_DATA_DIR: z.string().min(1).default('.rehost'),
  REHOST_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  REHOST_HTTP_PORT: port(8080),
  REHOST_AGENT_PORT: port(8443),
  REHOST_REPLICATION_PORT: port(1500),
  REHOST_LISTEN_HOST: z.string().min(1).default('0.0.0.0'),
  REHOST_PUBLIC_HOST: z
    .string()
    .regex(/^[0-9A-Za-z.:-]+$/, 'a host name or an address')
    .optional(),
  REHOST_TRUSTED_PROXY: proxies,
  REHOST_ADMIN_PASSWORD: z.string().min(8, 'at least 8 characters').max(1024).optional(),
  REHOST_QUOTAS: quotas,
  REHOST_API_RATE: z.coerce.number().int().min(0).max(10_000_000).default(6000),
  REHOST_ACCESS_KEY_ID: z
    .string()
    .refine(isAccessKeyId, '3 to 128 letters, digits and underscores')
    .optional(),
  REHOST_SECRET_ACCESS_KEY: z.string().min(8, 'at least 8 characters').max(1024).optional(),
  REHOST_SEALING_KEY: sealingKeySchema.optional(),
  REHOST_AGENT_DIR: z.string().min(1).optional(),
  REHOST_CERTIFICATE_DAYS: z.coerce.number().min(0.01).max(397).default(7),
  REHOST_SCRUB_DAYS: z.coerce.number().min(0).max(365).default(7),
  REHOST_SCRUB_MB_PER_SECOND: z.coerce.number().min(0.1).max(10_000).default(16),
  ...thresholdVariables,
  ...originVariables,
  REHOST_TABLE: z.string().min(3).max(255).default('rehost'),
  ...recordVariables,
  ...fileVariables,
  ...dynamoVariables,
  REDIS_URL: z.string().regex(/^(redis|rediss|unix):\/\//, 'redis://…, rediss://… or unix:///path'),
})

/** The environment; a key of which one half is missing would be a key that nobody has. */
const environmentSchema = schema.superRefine((values, context) => {
  const halves = ['REHOST_ACCESS_KEY_ID', 'REHOST_SECRET_ACCESS_KEY'] as const
  const missing = halves.filter((name) => values[name] === undefined)
  const [only] = missing
  if (missing.length === 1 && only !== undefined)
    context.addIssue({
      code: 'custom',
      path: [only],
      message: `set it with the other of ${halves.join(' and ')}`,
    })
})

/** The gateway's settings. */
export interface GatewayConfig {
  dataDir: string
  httpHost: string
  httpPort: number
  agentPort: number
  replicationPort: number
  listenHost: string
  publicHost: string
  trustedProxies: TrustedProxies
  adminPassword: string | undefined
  /** How much each program may ask for; no limit when left out. */
  apiRate: RatePolicy | undefined
  /** An access key that the operator has chosen. */
  accessKey: PresetAccessKey | undefined
  /** What secrets in the store are sealed with, when it does not lie in the data folder. */
  sealingKey: string | undefined
  /** Where the built agent is. */
  agentDir: string
  certificateValidityMs: number
  /** How replication servers read their volumes again. */
  scrub: ScrubPolicy
  /** The account that MGN's API shows. */
  account: OwnAccount
  thresholds: Thresholds
  origin: EventOrigin
  table: string
  recordTable: RecordTable
  dynamodb: DynamoPlace
  /** Where files of imports and exports are; undefined for the data folder. */
  s3: S3Place | undefined
  redisUrl: string
}

/** A host as it stands in a URL: an IPv6 address goes into brackets. */
export function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host
}

/** The first address of this machine that others can reach; loopback where there is none. */
function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    const found = addresses?.find((address) => !address.internal && address.family === 'IPv4')
    if (found !== undefined) return found.address
  }
  return '127.0.0.1'
}

/**
 * Reads the environment. `root` is the folder of this project.
 * @throws Error listing every bad variable by name.
 */
export function readGatewayConfig(
  environment: Record<string, string | undefined>,
  root: string,
): GatewayConfig {
  const parsed = environmentSchema.safeParse(environment)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`Cannot start the gateway: ${problems.join('; ')}`)
  }
  const values = parsed.data
  const { REHOST_ACCESS_KEY_ID: accessKeyId, REHOST_SECRET_ACCESS_KEY: secretAccessKey } = values
  return {
    dataDir: resolve(values.REHOST_DATA_DIR),
    httpHost: values.REHOST_HTTP_HOST,
    httpPort: values.REHOST_HTTP_PORT,
    agentPort: values.REHOST_AGENT_PORT,
    replicationPort: values.REHOST_REPLICATION_PORT,
    listenHost: values.REHOST_LISTEN_HOST,
    publicHost: values.REHOST_PUBLIC_HOST ?? ownAddress(),
    trustedProxies: values.REHOST_TRUSTED_PROXY,
    adminPassword: values.REHOST_ADMIN_PASSWORD,
    apiRate: values.REHOST_API_RATE === 0 ? undefined : { calls: values.REHOST_API_RATE, windowSeconds: 60 },
    accessKey:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey },
    sealingKey: values.REHOST_SEALING_KEY,
    agentDir: values.REHOST_AGENT_DIR ?? resolve(root, 'dist/agent'),
    certificateValidityMs: values.REHOST_CERTIFICATE_DAYS * 86_400_000,
    scrub: {
      intervalMs: Math.round(values.REHOST_SCRUB_DAYS * 86_400_000),
      bytesPerSecond: Math.round(values.REHOST_SCRUB_MB_PER_SECOND * 1_000_000),
    },
    account: { accountId: values.REHOST_ACCOUNT_ID, quotas: values.REHOST_QUOTAS },
    thresholds: thresholdsOf(values),
    origin: originOf(values),
    table: values.REHOST_TABLE,
    recordTable: recordTableOf(values),
    dynamodb: dynamoPlaceOf(values),
    s3: s3PlaceOf(values),
    redisUrl: values.REDIS_URL,
  }
}
