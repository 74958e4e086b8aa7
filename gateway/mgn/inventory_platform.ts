/**
 * The platform of a server as an inventory says it. Once there is an agent, what that reports is the platform.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Row } from './inventory_csv.ts'
import { ConflictError } from '../../domain/errors.ts'
import { hasNoAgentYet } from '../../domain/source_server.ts'

/** As agents report it. */
type Platform = SourceServer['sourceProperties']['os']['family']

const platforms: readonly Platform[] = ['linux', 'windows', 'unknown']

/** Undefined when the row does not say, or says nothing that is a platform. */
function platformIn(row: Row): Platform | undefined {
  const cell = row['mgn:server:platform']?.toLowerCase()
  return platforms.find((platform) => platform === cell)
}

/** What is wrong with the platform that a row says of its server, if anything; `server` is the one that there is. */
export function wrongWithPlatform(row: Row, server: SourceServer | undefined): string | undefined {
  const cell = row['mgn:server:platform']
  if (cell === undefined) return undefined
  const platform = platformIn(row)
  if (platform === undefined) return `mgn:server:platform is linux or windows, not ${cell}`
  if (server === undefined || hasNoAgentYet(server)) return undefined
  const { family } = server.sourceProperties.os
  if (platform === family) return undefined
  return `the platform of server ${server.sourceServerId} is what its agent reports, ${family}, not ${platform}: leave mgn:server:platform empty or as it is`
}

/**
 * A server with the platform that a row says; the same object when it has it.
 * @throws ConflictError when its agent has come since the rows were looked at, and reports another.
 */
export function withPlatform(server: SourceServer, row: Row, at: string): SourceServer {
  const wrong = wrongWithPlatform(row, server)
  if (wrong !== undefined) throw new ConflictError(wrong)
  const { sourceProperties } = server
  const family = platformIn(row) ?? sourceProperties.os.family
  if (family === sourceProperties.os.family) return server
  const os = { ...sourceProperties.os, family }
  return { ...server, sourceProperties: { ...sourceProperties, lastUpdatedAt: at, os } }
}
