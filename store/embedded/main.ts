/**
 * The embedded DynamoDB endpoint: dynalite on a folder, on loopback.
 * @module
 */
import { mkdir } from 'node:fs/promises'
import dynalite from 'dynalite'
import { errorMessage } from '../../domain/errors.ts'
import { requireAccessKey } from './access_key.ts'
import { readEmbeddedConfig } from './config.ts'

const config = readEmbeddedConfig(process.env)
await mkdir(config.folder, { recursive: true, mode: 0o700 })
const server = dynalite({ path: config.folder, createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
requireAccessKey(server, config.accessKeyId)

server.once('error', (error) => {
  process.stderr.write(
    `Cannot listen on ${config.host}:${config.port}: ${errorMessage(error)}. Stop what uses the port or set REHOST_DYNAMODB_PORT\n`,
  )
  process.exit(1)
})
server.listen(config.port, config.host, () =>
  process.stdout.write(`Listening on ${config.host}:${config.port}\n`),
)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    server.closeAllConnections()
    server.close(() => process.exit(0))
  })
}
