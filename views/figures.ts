/**
 * Progress, lag and time left: derived here, from positions that the records and the live figures carry.
 * @module
 */
import type { ReplicatedDisk, SourceServer } from '../domain/source_server.ts'
import type { DataReplicationState } from '../domain/replication.ts'

/** Live figures of a server, when somebody reports them. */
export interface Figures {
  state: DataReplicationState
  lagMs: number | null
  backlogBytes: number
  bytesPerSecond: number
  wireBytes: number
  disks: { diskIndex: number; sizeBytes: number; scannedBytes: number; backlogBytes: number }[]
}

/** How far a copy is. */
export interface Progress {
  doneBytes: number
  totalBytes: number
  /** From 0 to 1. */
  share: number
  /** Undefined while nobody can know. */
  millisecondsLeft?: number
}

const copying: readonly DataReplicationState[] = ['INITIATING', 'INITIAL_SYNC']
const comparing: readonly DataReplicationState[] = ['RESCAN']

/** The state that matters now: the live one where there is one, unless the record says that something stands in the way. */
export function liveState(server: SourceServer, figures: Figures | undefined): DataReplicationState {
  const recorded = server.replication.state
  const isBlocked =
    recorded === 'STALLED' ||
    recorded === 'DISCONNECTED' ||
    // Figures outlive the session that they are of for some seconds.
    recorded === 'PAUSED' ||
    recorded === 'STOPPED' ||
    recorded === 'CREATING_SNAPSHOT'
  return isBlocked || figures === undefined ? recorded : figures.state
}

/** How far one disk is in the copy or comparison under way; all of it when neither is. */
export function diskProgress(
  disk: ReplicatedDisk,
  state: DataReplicationState,
  figures: Figures | undefined,
): Progress {
  const live = figures?.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
  const isComparing = comparing.includes(state)
  const recorded = isComparing ? disk.rescannedBytes : disk.replicatedBytes
  const isMoving = copying.includes(state) || isComparing
  const done = isMoving ? Math.max(live?.scannedBytes ?? 0, recorded) : disk.replicatedBytes
  const doneBytes = Math.min(done, disk.sizeBytes)
  return {
    doneBytes,
    totalBytes: disk.sizeBytes,
    share: disk.sizeBytes === 0 ? 1 : doneBytes / disk.sizeBytes,
  }
}

/** How far the whole server is. */
export function serverProgress(server: SourceServer, figures: Figures | undefined, now: Date): Progress {
  const state = liveState(server, figures)
  let doneBytes = 0
  let totalBytes = 0
  for (const disk of server.disks) {
    const one = diskProgress(disk, state, figures)
    doneBytes += one.doneBytes
    totalBytes += one.totalBytes
  }
  const share = totalBytes === 0 ? 0 : doneBytes / totalBytes
  const { etaDateTime } = server.replication
  // What a server said that has fallen silent is no estimate any more.
  const isKnown = etaDateTime !== undefined && !isSilent(server, now)
  return {
    doneBytes,
    totalBytes,
    share,
    ...(isKnown ? { millisecondsLeft: Math.max(0, Date.parse(etaDateTime) - now.getTime()) } : {}),
  }
}

/** Whether the disks are being copied or compared from end to end. */
export function isCopying(state: DataReplicationState): boolean {
  return copying.includes(state) || comparing.includes(state)
}

/** Milliseconds since replica and source were the same; null before the first time. */
export function lagMs(server: SourceServer, figures: Figures | undefined, now: Date): number | null {
  if (server.lifecycle.state === 'CUTOVER' || server.lifecycle.state === 'DISCONNECTED') return null
  if (figures !== undefined) return figures.lagMs
  const { lastConsistentAt } = server.replication
  return lastConsistentAt === undefined ? null : Math.max(0, now.getTime() - Date.parse(lastConsistentAt))
}

/** Bytes changed at the source and not yet safe in the replica. */
export function backlogBytes(server: SourceServer, figures: Figures | undefined): number {
  return figures?.backlogBytes ?? server.disks.reduce((sum, disk) => sum + disk.backlogBytes, 0)
}

/** An agent silent for longer than this is worth a warning. */
export const silenceMs = 60_000

/** Whether an agent that should report has fallen silent. */
export function isSilent(server: SourceServer, now: Date): boolean {
  return isUnheardSince(server, silentSince(now))
}

/** Tells who is stalled, in trouble or silent at `now`: somebody should look. Made once for a whole fleet: no time is read for each server. */
export function troubleFinder(now: Date): (server: SourceServer) => boolean {
  const since = silentSince(now)
  return (server) => server.replication.error !== undefined || isUnheardSince(server, since)
}

function silentSince(now: Date): string {
  return new Date(now.getTime() - silenceMs).toISOString()
}

/** Times as `toISOString` writes them are in order as texts. */
function isUnheardSince({ agent, lifecycle, createdAt }: SourceServer, since: string): boolean {
  const isOver = ['CUTOVER', 'DISCONNECTED', 'PENDING_INSTALLATION'].includes(lifecycle.state)
  if (isOver || agent.uninstalledAt !== undefined) return false
  return (agent.lastSeenAt ?? createdAt) < since
}
