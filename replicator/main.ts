/**
 * The replication server's process: reads the environment, chooses implementations, runs until SIGTERM or SIGINT.
 * @module
 */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { pino } from 'pino'
import { z } from 'zod'
import { errorMessage } from '../domain/errors.ts'
import { readReplicatorConfig } from './config.ts'
import { runReplicator } from './replicator.ts'
import { redisTelemetry } from './telemetry.ts'

const log = pino({ name: 'replicator' })
const ending = new AbortController()
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => ending.abort())

async function readCa(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Error(`Cannot read the CA certificate from ${path}; check REHOST_CA_PEM_FILE`, { cause })
  }
}

try {
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')))
  const config = readReplicatorConfig(process.env)
  await runReplicator(
    {
      config,
      caPem: await readCa(config.caPemFile),
      version,
      telemetry: config.redisUrl === undefined ? undefined : redisTelemetry(config.redisUrl, log),
      log,
      nowMs: Date.now,
      random: Math.random,
    },
    ending.signal,
  )
  process.exit(0)
} catch (error) {
  if (ending.signal.aborted) process.exit(0)
  log.fatal({ err: error }, errorMessage(error))
  process.exit(1)
}
