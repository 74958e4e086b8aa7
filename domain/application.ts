/**
 * Applications and waves: servers that belong together, and applications that move together. Health and progress come from their servers, with MGN's
 * words.
 * @module
 */
import type { ApplicationId, WaveId } from './ids.ts'
import type { SourceServer } from './source_server.ts'

/** What applications and waves have in common. */
export interface Group {
  name: string
  description: string
  isArchived: boolean
  createdAt: string
  lastModifiedAt: string
  tags: Record<string, string>
}

/** Servers that belong together. Which ones is written in each of them. */
export interface Application extends Group {
  applicationId: ApplicationId
  /** The wave that it moves with. */
  waveId?: WaveId
}

/** Applications that move together. */
export interface Wave extends Group {
  waveId: WaveId
}

export type HealthStatus = 'HEALTHY' | 'LAGGING' | 'ERROR'
export type ProgressStatus = 'NOT_STARTED' | 'IN_PROGRESS' | 'COMPLETED'

/** The part of a server that a group's status comes from. */
export type GroupMember = Pick<SourceServer, 'lifecycle' | 'replication' | 'isArchived'>

/** A server in trouble makes the group one; one that is behind makes it late. */
export function healthOf(servers: readonly GroupMember[]): HealthStatus {
  if (servers.some(({ replication }) => replication.error !== undefined || replication.state === 'STALLED'))
    return 'ERROR'
  const isLate = ({ replication: { state } }: GroupMember) => state === 'BACKLOG' || state === 'RESCAN'
  return servers.some(isLate) ? 'LAGGING' : 'HEALTHY'
}

const notBegun: readonly string[] = ['PENDING_INSTALLATION', 'DISCOVERED', 'STOPPED', 'NOT_READY']

/** Complete when every server is cut over, begun when one can be tested. */
export function progressOf(servers: readonly GroupMember[]): ProgressStatus {
  if (servers.every(({ lifecycle }) => notBegun.includes(lifecycle.state))) return 'NOT_STARTED'
  return servers.every(({ lifecycle }) => lifecycle.state === 'CUTOVER') ? 'COMPLETED' : 'IN_PROGRESS'
}

/** When the first of the servers began to be copied; undefined while none has. */
export function replicationStartedAt(servers: readonly GroupMember[]): string | undefined {
  return servers
    .flatMap(({ lifecycle: { firstByteAt } }) => (firstByteAt === undefined ? [] : [firstByteAt]))
    .sort((one, other) => (one < other ? -1 : 1))[0]
}

/** Servers that still replicate: while there are any, what they belong to is not put away. */
export function stillReplicating(servers: readonly GroupMember[]): number {
  return servers.filter(({ lifecycle: { state } }) => state !== 'CUTOVER' && state !== 'DISCONNECTED').length
}
