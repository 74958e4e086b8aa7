/**
 * A consistency point's own life: asked, reached, and let go when it fails or its time is over.
 *
 * ```
 * REQUESTED ──▶ REACHED ──▶ TAKEN
 *     │            │
 *     ├────────────┴──▶ EXPIRED   (past `expiresAt`)
 *     └──▶ FAILED                 (the agent could not freeze or send in time)
 * ```
 * Each function returns the same object when nothing changes, so that the caller can leave the store alone.
 * @module
 */
import type { ConsistencyRequest, SourceServer } from './source_server.ts'
import type { UnreadBlocks } from './unread_blocks.ts'
import { ConflictError } from './errors.ts'
import { withEvent } from './source_server.ts'
import { unreadInWords } from './unread_blocks.ts'

/** Clocks of gateways and workers may differ by this much. */
const clockToleranceMs = 60_000

/** What the replicator says when a barrier is durable and later writes are held back. */
export interface ReachedPoint {
  consistencyPointId: string
  method: 'FROZEN' | 'QUIET'
  frozenMs: number
  /** Not of disks that were still to be read, see `unread`. */
  roots: { diskIndex: number; root: string }[]
  /** What was still to be read, where that is why a disk has no root. */
  unread?: UnreadBlocks | undefined
}

function withRequest(server: SourceServer, request: ConsistencyRequest): SourceServer {
  return { ...server, consistencyRequest: request }
}

/**
 * `server` with its consistency point REACHED. Saying it again changes nothing.
 * @throws ConflictError when another point is asked for by now, or this one is already over.
 */
export function reachConsistencyPoint(server: SourceServer, point: ReachedPoint, at: string): SourceServer {
  const request = server.consistencyRequest
  if (request?.consistencyPointId !== point.consistencyPointId) {
    throw new ConflictError(
      `Cannot record consistency point ${point.consistencyPointId} of server ${server.sourceServerId}: ` +
        `the one asked for is ${request?.consistencyPointId ?? 'none'}; let the held writes go`,
    )
  }
  if (request.state === 'REACHED' || request.state === 'TAKEN') return server
  const fresh = expireConsistencyPoint(server, at)
  if (fresh !== server || request.state !== 'REQUESTED') {
    throw new ConflictError(
      `Cannot record consistency point ${request.consistencyPointId} of server ${server.sourceServerId}: ` +
        `it is ${fresh.consistencyRequest?.state ?? request.state}; let the held writes go`,
    )
  }
  const how =
    point.method === 'FROZEN'
      ? `file systems frozen for ${Math.round(point.frozenMs)} ms`
      : 'no write was pending'
  const { unread } = point
  const without = unread === undefined ? '' : `; without proof of contents, as ${unreadInWords(unread)}`
  return withEvent(
    withRequest(server, {
      ...request,
      state: 'REACHED',
      reachedAt: at,
      method: point.method,
      frozenMs: point.frozenMs,
      roots: point.roots.map(({ diskIndex, root }) => ({ diskIndex, root })),
      ...(unread === undefined ? {} : { unread }),
    }),
    at,
    {
      type: 'CONSISTENCY_POINT',
      actor: 'replicator',
      message: `Consistency point ${request.consistencyPointId} reached: ${how}${without}`,
      detail: {
        consistencyPointId: request.consistencyPointId,
        method: point.method,
        frozenMs: point.frozenMs,
      },
    },
  )
}

/** `server` with an open consistency point past its time turned EXPIRED, so that the replicator lets the held writes go. */
export function expireConsistencyPoint(server: SourceServer, at: string): SourceServer {
  const request = server.consistencyRequest
  if (request === undefined || (request.state !== 'REQUESTED' && request.state !== 'REACHED')) return server
  // A clock that was set back would hold writes for as long as it was set back.
  const isOfTheFuture = Date.parse(request.requestedAt) - Date.parse(at) > clockToleranceMs
  if (!isOfTheFuture && Date.parse(request.expiresAt) > Date.parse(at)) return server
  const late =
    request.state === 'REQUESTED' ? 'it was not reached in time' : 'its snapshots were not taken in time'
  const missed = isOfTheFuture ? 'the clock of this service was set back' : late
  return withEvent(withRequest(server, { ...request, state: 'EXPIRED', failure: missed }), at, {
    type: 'CONSISTENCY_POINT',
    level: 'WARNING',
    message: `Consistency point ${request.consistencyPointId} expired: ${missed}`,
    detail: { consistencyPointId: request.consistencyPointId },
  })
}

/** `server` with the asked-for point FAILED for `reason`; unchanged when another point is asked for or this one is over. */
export function failConsistencyPoint(
  server: SourceServer,
  consistencyPointId: string,
  reason: string,
  at: string,
): SourceServer {
  const request = server.consistencyRequest
  if (request?.consistencyPointId !== consistencyPointId || request.state !== 'REQUESTED') return server
  return withEvent(withRequest(server, { ...request, state: 'FAILED', failure: reason }), at, {
    type: 'CONSISTENCY_POINT',
    actor: 'agent',
    level: 'WARNING',
    message: `Consistency point ${consistencyPointId} could not be reached: ${reason}`,
    detail: { consistencyPointId },
  })
}

/** `server` with an open point FAILED for `reason`, held or not: what would have been taken of it is of no moment. Unchanged without one. */
export function dropConsistencyPoint(server: SourceServer, reason: string, at: string): SourceServer {
  const request = server.consistencyRequest
  if (request === undefined || (request.state !== 'REQUESTED' && request.state !== 'REACHED')) return server
  return withEvent(withRequest(server, { ...request, state: 'FAILED', failure: reason }), at, {
    type: 'CONSISTENCY_POINT',
    level: 'WARNING',
    message: `Consistency point ${request.consistencyPointId} is given up: ${reason}`,
    detail: { consistencyPointId: request.consistencyPointId },
  })
}
