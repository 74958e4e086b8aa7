/**
 * All that is forecast of one server: its first copy, whether that comes to an end, and the downtime of its cutover. Pure.
 * @module
 */
import type { DowntimeForecast, LaunchHistory } from './downtime.ts'
import type { KeptCopyForecast, KeptDowntimeForecast } from './forecast.ts'
import type { CopyForecast } from './initial_forecast.ts'
import type { SourceServer } from './source_server.ts'
import { isConvergenceError } from './convergence.ts'
import { cutoverDowntime, forecastDowntime } from './downtime.ts'
import { roundedMinutes } from './initial_forecast.ts'
import { speedInWords } from './units.ts'

/** What is left of a copy, in minutes: as measured, and as wide as what was said when it began. */
export interface MinutesLeft {
  expectedMinutes: number
  lowMinutes: number
  highMinutes?: number
}

/** The first copy. */
export interface CopyOutlook {
  phase: 'NOT_STARTED' | 'COPYING' | 'DONE'
  /** As things are now, of one that has not started. */
  forecast?: CopyForecast
  /** As it was said when the first byte arrived. */
  kept?: KeptCopyForecast
  /** Absent while nobody can know. */
  left?: MinutesLeft
  actualMinutes?: number
}

/** Whether the replica will be what the source is. */
export interface ConvergenceOutlook {
  verdict: 'YES' | 'NO' | 'UNKNOWN'
  because: string
  /** Bytes of blocks that change in a second, where it was measured. */
  changedBytesPerSecond?: number
  /** Bytes of changed blocks that can be copied in a second, where it is known. */
  copiedBytesPerSecond?: number
}

/** The downtime of its cutover. */
export interface DowntimeOutlook {
  /** Of the next cutover, as things are now; absent while one stands. */
  forecast?: DowntimeForecast
  /** Milliseconds until the replica has caught up, which comes before the downtime; absent while it is in step. */
  catchUpMs?: number
  /** As it was said when the last cutover was asked for. */
  kept?: KeptDowntimeForecast
  /** What that cutover took, if it went well. */
  actualSeconds?: number
}

/** All of it. */
export interface ServerForecast {
  sourceServerId: string
  initialReplication: CopyOutlook
  convergence: ConvergenceOutlook
  downtime: DowntimeOutlook
}

/** Changed for less than this, a rate says little. */
const leastMeasuredMs = 60_000

/** Up for less than this, a machine has written what belongs to its start. */
const leastUpSeconds = 3600

/** Bytes written in a second since the machine was started, taken for the rate at which it will change; undefined where nobody knows. */
export function writtenBytesPerSecond({ sourceProperties }: SourceServer): number | undefined {
  const { writes } = sourceProperties
  return writes === undefined || writes.seconds < leastUpSeconds ? undefined : writes.bytes / writes.seconds
}

/** Bytes of blocks that have changed in a second since the first byte; undefined while that is not known. */
export function changedBytesPerSecond({ lifecycle, initialReplication }: SourceServer): number | undefined {
  const { firstByteAt } = lifecycle
  if (initialReplication?.state !== 'COPYING' || firstByteAt === undefined) return undefined
  const { changed, mark } = initialReplication.figures
  const measuredMs = Date.parse(mark.at) - Date.parse(firstByteAt)
  return changed === undefined || measuredMs < leastMeasuredMs
    ? undefined
    : (changed.totalBytes * 1000) / measuredMs
}

/** Whether the first copy of `server` has begun, or is over. */
export function hasBegun({ lifecycle }: SourceServer): boolean {
  return lifecycle.firstByteAt !== undefined || lifecycle.readyForTestAt !== undefined
}

/** What is forecast of `server` at `at`. `ahead` is the forecast of its first copy, which one that has begun does not need. */
export function serverForecast(
  server: SourceServer,
  ahead: CopyForecast | undefined,
  past: readonly LaunchHistory[],
  at: Date,
): ServerForecast {
  const initialReplication = copyOutlook(server, ahead, at)
  return {
    sourceServerId: server.sourceServerId,
    initialReplication,
    convergence: convergenceOutlook(server, initialReplication),
    downtime: downtimeOutlook(server, past, at),
  }
}

function copyOutlook(server: SourceServer, ahead: CopyForecast | undefined, at: Date): CopyOutlook {
  const { firstByteAt, readyForTestAt } = server.lifecycle
  const { copyForecast } = server
  const kept = copyForecast === undefined ? {} : { kept: copyForecast }
  if (readyForTestAt !== undefined) {
    const tookMs = firstByteAt === undefined ? 0 : Date.parse(readyForTestAt) - Date.parse(firstByteAt)
    return { phase: 'DONE', ...kept, actualMinutes: roundedMinutes(Math.max(0, tookMs) / 60_000) }
  }
  if (firstByteAt === undefined)
    return { phase: 'NOT_STARTED', ...(ahead === undefined ? {} : { forecast: ahead }) }
  const left = minutesLeft(server, at)
  return { phase: 'COPYING', ...kept, ...(left === undefined ? {} : { left }) }
}

/** Where nothing was said at the beginning: half as long, and twice. */
const usualFactors = { low: 0.5, high: 2 }

function minutesLeft({ replication, copyForecast }: SourceServer, at: Date): MinutesLeft | undefined {
  const { etaDateTime } = replication
  if (etaDateTime === undefined) return undefined
  const minutes = Math.max(0, Date.parse(etaDateTime) - at.getTime()) / 60_000
  const {
    expectedMinutes: said,
    lowMinutes,
    highMinutes,
  } = copyForecast?.never === undefined ? (copyForecast ?? {}) : {}
  const low = said === undefined || lowMinutes === undefined ? usualFactors.low : lowMinutes / said
  const high = said === undefined || highMinutes === undefined ? usualFactors.high : highMinutes / said
  return {
    expectedMinutes: roundedMinutes(minutes),
    lowMinutes: roundedMinutes(minutes * Math.min(1, low), Math.floor),
    highMinutes: roundedMinutes(minutes * Math.max(1, high), Math.ceil),
  }
}

function convergenceOutlook(server: SourceServer, copy: CopyOutlook): ConvergenceOutlook {
  if (copy.phase === 'NOT_STARTED') return beforeStart(copy.forecast)
  const changed = changedBytesPerSecond(server)
  const measured = changed === undefined ? {} : { changedBytesPerSecond: Math.round(changed) }
  const { state, error, etaDateTime } = server.replication
  if (isConvergenceError(error))
    return { verdict: 'NO', because: `${error.rawError}. ${error.whatToDo}`, ...measured }
  if (state === 'CONTINUOUS' || state === 'CREATING_SNAPSHOT')
    return { verdict: 'YES', because: 'The replica is in step with its source', ...measured }
  if (etaDateTime !== undefined)
    return { verdict: 'YES', because: 'What is left becomes less, as it is measured now', ...measured }
  return { verdict: 'UNKNOWN', because: 'Nothing is measured of it now', ...measured }
}

function beforeStart(forecast: CopyForecast | undefined): ConvergenceOutlook {
  if (forecast === undefined || forecast.state === 'UNKNOWN')
    return { verdict: 'UNKNOWN', because: forecast?.because ?? 'Nothing is known of it' }
  const { basis } = forecast
  const { changedBytesPerSecond: changed, carriedBytesPerSecond: copied } = basis
  const figures = {
    copiedBytesPerSecond: copied,
    ...(changed === undefined ? {} : { changedBytesPerSecond: changed }),
  }
  if (forecast.state === 'NEVER') return { verdict: 'NO', because: forecast.because, ...figures }
  if (changed === undefined)
    return {
      verdict: 'UNKNOWN',
      because: `How much changes on it was not measured yet; it comes to an end while that is clearly less than ${speedInWords(copied)}`,
      ...figures,
    }
  const speeds = `${speedInWords(changed)} change, and about ${speedInWords(copied)} can be copied`
  return forecast.highMinutes === undefined
    ? {
        verdict: 'UNKNOWN',
        because: `${speeds}: too near to each other to be sure. Give it more bandwidth, or have less written while it is copied`,
        ...figures,
      }
    : { verdict: 'YES', because: speeds, ...figures }
}

function downtimeOutlook(server: SourceServer, past: readonly LaunchHistory[], at: Date): DowntimeOutlook {
  const over = cutoverDowntime(server)
  const kept = server.launchTimes?.forecast
  // Of a cutover that was asked for since, what the one before took says nothing.
  const isLast = over !== undefined && (kept === undefined || kept.jobId === over.launch.jobId)
  const { state: lifecycle } = server.lifecycle
  const isOver = lifecycle === 'CUTOVER' || (lifecycle === 'CUTTING_OVER' && isLast)
  const { state, etaDateTime } = server.replication
  const catchUpMs =
    state === 'BACKLOG' && etaDateTime !== undefined
      ? Math.max(0, Date.parse(etaDateTime) - at.getTime())
      : undefined
  return {
    ...(isOver ? {} : { forecast: forecastDowntime(server, past) }),
    ...(catchUpMs === undefined || isOver ? {} : { catchUpMs }),
    ...(kept === undefined ? {} : { kept }),
    ...(isLast ? { actualSeconds: over.actualSeconds } : {}),
  }
}
