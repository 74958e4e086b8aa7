/**
 * Settings of the embedded endpoint, read once from the environment.
 * @module
 */
import { join, resolve } from 'node:path'
import { z } from 'zod'

const schema = z.object({
  REHOST_DATA_DIR: z.string().min(1).default('.rehost'),
  REHOST_DYNAMODB_PORT: z.coerce.number().int().min(1).max(65535).default(8042),
  REHOST_STORE_ACCESS_KEY_ID: z.string().min(1),
})

/** Where it keeps its data and where it listens: on loopback only, since the key crosses the connection in the clear. */
export interface EmbeddedConfig {
  folder: string
  host: string
  port: number
  /** Whoever shows it may do everything, others nothing. */
  accessKeyId: string
}

/** Reads the settings. @throws TypeError naming every variable that is wrong. */
export function readEmbeddedConfig(environment: Record<string, string | undefined>): EmbeddedConfig {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    throw new TypeError(`Cannot read the environment: ${wrong}`)
  }
  return {
    folder: join(resolve(parsed.data.REHOST_DATA_DIR), 'dynamodb'),
    host: '127.0.0.1',
    port: parsed.data.REHOST_DYNAMODB_PORT,
    accessKeyId: parsed.data.REHOST_STORE_ACCESS_KEY_ID,
  }
}
