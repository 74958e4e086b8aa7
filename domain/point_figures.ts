/**
 * Figures of a server's consistency points: how long writers were held, how often points are reached or not and why. Kept by the hour, so
 * that they stay small however often there is a point.
 * @module
 */
export type { PointFigures, PointOutcome } from './point_outcome.ts'
import type { HourOfPoints, PointFigures, PointOutcome } from './point_outcome.ts'
import type { SourceServer } from './source_server.ts'
import { withEvent } from './source_server.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** The last day in one row. */
export interface DayOfPoints {
  reached: number
  failed: number
  freezes: number
  longestFreezeMs: number
  longestHoldMs: number
}

/** The figures of the day before `at`, to the hour. */
export function lastDayOf(figures: PointFigures, at: string): DayOfPoints {
  const day = { reached: 0, failed: 0, freezes: 0, longestFreezeMs: 0, longestHoldMs: 0 }
  for (const hour of recent(figures.hours, at)) {
    day.reached += hour.reached
    day.failed += hour.failed
    day.freezes += hour.freezes
    day.longestFreezeMs = Math.max(day.longestFreezeMs, hour.longestFreezeMs)
    day.longestHoldMs = Math.max(day.longestHoldMs, hour.longestHoldMs)
  }
  return day
}

function recent(hours: readonly HourOfPoints[], at: string): HourOfPoints[] {
  return hours.filter((hour) => Date.parse(at) - Date.parse(hour.at) <= dayMs)
}

/** `server` with outcomes that are news counted, and told where they differ from the one before; else the same object. */
export function withPointOutcomes(
  server: SourceServer,
  generation: number,
  outcomes: readonly PointOutcome[],
  at: string,
): SourceServer {
  let next = server
  for (const outcome of outcomes) {
    const counted = next.replication.points?.counted
    if (counted?.generation === generation && outcome.sequence <= counted.sequence) continue
    next = withOutcome(next, generation, outcome, at)
  }
  return next
}

function withOutcome(
  server: SourceServer,
  generation: number,
  { sequence, agoMs, ...outcome }: PointOutcome,
  reportedAt: string,
): SourceServer {
  const before = server.replication.points
  const at = new Date(Date.parse(reportedAt) - agoMs).toISOString()
  const isReached = outcome.method !== undefined
  const isHeld = outcome.freezes > 0 || outcome.longestHoldMs > 0
  const held = { at, freezeMs: outcome.longestFreezeMs, holdMs: outcome.longestHoldMs }
  const points: PointFigures = {
    ...before,
    counted: { generation, sequence },
    last: { ...outcome, at },
    hours: withHour(before?.hours ?? [], outcome, at),
    ...(isReached ? { reachedAt: at } : { failure: { at, reason: outcome.failure ?? 'no reason was told' } }),
    ...(isHeld ? { held } : {}),
  }
  const counted = { ...server, replication: { ...server.replication, points } }
  return withNews(counted, before, outcome, reportedAt)
}

function withHour(
  hours: readonly HourOfPoints[],
  outcome: Omit<PointOutcome, 'sequence' | 'agoMs'>,
  at: string,
): HourOfPoints[] {
  const begin = new Date(Math.floor(Date.parse(at) / hourMs) * hourMs).toISOString()
  const known = hours.find((hour) => hour.at === begin)
  const isReached = outcome.method !== undefined
  const own: HourOfPoints = {
    at: begin,
    reached: (known?.reached ?? 0) + (isReached ? 1 : 0),
    failed: (known?.failed ?? 0) + (isReached ? 0 : 1),
    freezes: (known?.freezes ?? 0) + outcome.freezes,
    longestFreezeMs: Math.max(known?.longestFreezeMs ?? 0, outcome.longestFreezeMs),
    longestHoldMs: Math.max(known?.longestHoldMs ?? 0, outcome.longestHoldMs),
  }
  const others = recent(hours, at).filter((hour) => hour.at !== begin)
  return [own, ...others].sort((one, other) => (one.at < other.at ? 1 : -1)).slice(0, 25)
}

/** Whether two failures are the same but for their figures, which change each time. */
function isSameFailure(one: string | undefined, other: string): boolean {
  const withoutFigures = (text: string): string => text.replaceAll(/[\d.]+/g, '0')
  return one !== undefined && withoutFigures(one) === withoutFigures(other)
}

/** A point by the policy is told when it is not reached for another reason than the one before, or reached again; hooks that fail likewise. */
function withNews(
  server: SourceServer,
  before: PointFigures | undefined,
  outcome: Omit<PointOutcome, 'sequence' | 'agoMs'>,
  at: string,
): SourceServer {
  const { isScheduled, failure, hookFailure, consistencyPointId } = outcome
  const tell = (level: 'INFO' | 'WARNING', message: string): SourceServer =>
    withEvent(server, at, {
      type: 'CONSISTENCY_POINT',
      actor: 'agent',
      level,
      message,
      detail: { consistencyPointId },
    })
  if (failure !== undefined)
    return isScheduled && !isSameFailure(before?.last.failure, failure)
      ? tell('WARNING', `A consistency point by the policy could not be reached: ${failure}`)
      : server
  if (hookFailure !== undefined && before?.last.hookFailure !== hookFailure)
    return tell(
      'WARNING',
      `Consistency point ${consistencyPointId} is crash-consistent, as if the power had failed: ${hookFailure}`,
    )
  return isScheduled && before?.last.failure !== undefined
    ? tell('INFO', 'Consistency points are reached again')
    : server
}
