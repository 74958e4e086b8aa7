/**
 * What a heartbeat of the agent does to its source server. Pure: the same report on the same server gives the same server, and the same
 * object when nothing in it is worth a write. Progress and "last seen" alone are worth one every {@link quietWriteIntervalMs}, so that
 * thousands of agents do not become thousands of writes a second.
 * @module
 */
import type { ContactReport } from './first_contact.ts'
import type { MeasuredFigures, Thresholds } from './thresholds.ts'
import type { PointOutcome } from './point_figures.ts'
import type { ReplicatedDisk, SourceDisk, SourceServer } from './source_server.ts'
import { withAgentHeard } from './agent_silence.ts'
import { withSourceDisks } from './disk_changes.ts'
import { expireConsistencyPoint, failConsistencyPoint } from './consistency_point.ts'
import { convergenceError, isConvergenceError } from './convergence.ts'
import { ConflictError } from './errors.ts'
import type { SourceServerId } from './ids.ts'
import { withInitiation } from './first_contact.ts'
import type { CopyForecaster } from './initial_replication.ts'
import { withCopyForecast } from './initial_replication.ts'
import { agentIsLiveMs } from './machine_copy.ts'
import { withPointOutcomes } from './point_figures.ts'
import type { StateReport } from './reported_state.ts'
import { withReportedError, withReportedState } from './reported_state.ts'
import { withEvent, withLifecycle } from './source_server.ts'
import { noThresholds, withThresholds } from './thresholds.ts'
import type { CountedReport } from './sync_figures.ts'
import { withSyncFigures } from './sync_figures.ts'
import type { VerificationProgress } from './verification.ts'
import { withVerificationProgress, withVerificationResult } from './verification.ts'

/** A report without news is written down this often at most, and up to {@link quietWriteSpreadMs} less often. */
export const quietWriteIntervalMs = 7000

/**
 * Each server has its own interval, longer by as much as this: agents that began in the same second, as after a restart of the gateway, do not go on
 * being written in the same second.
 */
const quietWriteSpreadMs = 5000

/**
 * One whose writing is put off, as many are due at once, is written at the latest after this time and one heartbeat: whoever asks whether the
 * agent lives, or holds the server in memory, counts on it.
 */
export const quietWriteLatestMs = 12_500

/** Events waiting for the relay above which an agent's notes are no longer added: the item must not outgrow the store. */
const maxWaitingEvents = 200

/**
 * Events waiting above which nothing is moved that each report says anew: a server that swings between two states while no worker runs would fill its item,
 * and then no report could be written. The record follows as soon as there is room.
 */
const fullOutbox = 600

/** The agent's measurements, as the heartbeat carries them. */
export interface HeartbeatReport extends ContactReport, CountedReport, StateReport {
  lagMs: number | null
  timeLeftMs?: number | null | undefined
  readingSlowed?: string | undefined
  disks: {
    diskIndex: number
    replicatedBytes: number
    rescannedBytes: number
    backlogBytes: number
    tracker: { kind: string; reason: string }
  }[]
  /** The machine's disks, when they are others than at the last report that was answered. */
  sourceDisks?: SourceDisk[] | undefined
  /** What became of consistency points, until it was answered. */
  pointOutcomes?: PointOutcome[] | undefined
  consistencyFailure?: { consistencyPointId: string; reason: string } | undefined
  verification?: VerificationProgress | undefined
  notes: { level: 'INFO' | 'WARNING' | 'ERROR'; message: string }[]
}

/**
 * `server` after `report`, received `at`; the same object when there is nothing to write. With `mayWait` one
 * that is due and has no news waits for a later report, as long as that changes nothing in what is known of the agent.
 * @throws ConflictError when the report is of another generation than the one running: a newer agent has taken over.
 */
export function applyHeartbeat(
  server: SourceServer,
  report: HeartbeatReport,
  at: string,
  mayWait = false,
  thresholds: Thresholds = noThresholds,
  forecastOf: CopyForecaster = () => undefined,
): SourceServer {
  if (report.generation !== server.agent.generation) {
    throw new ConflictError(
      `Heartbeat of generation ${report.generation} for server ${server.sourceServerId}, which is at generation ` +
        `${server.agent.generation}: another run of the agent has taken over, or this one has not started; call start again`,
    )
  }
  let next = withNotes(withAgentHeard(expireConsistencyPoint(server, at), at), report, at)
  if (isReplicating(next)) {
    if (report.sourceDisks !== undefined) next = withSourceDisks(next, report.sourceDisks, at)
    next = withPointOutcomes(next, report.generation, report.pointOutcomes ?? [], at)
    next = withFailedPoint(next, report, at)
    if (next.outbox.length < fullOutbox) {
      next = withReportedState(next, report, at)
      next = withReportedError(next, report, at)
      next = withThresholds(next, figuresOf(report), thresholds, at)
    }
    next = withCopyForecast(withInitiation(next, report, at), server, forecastOf)
    next = withReadiness(next, report, at)
    next = withTrackers(next, report, at)
    next = withVerificationResult(next, report.verification, at)
  }
  const isNews = next !== server
  return isNews || (isQuietlyDue(server, at) && !(mayWait && mayWaitAt(server, at)))
    ? withSyncFigures(
        withVerificationProgress(withMeasurements(next, report, at), report.verification),
        report,
        at,
      )
    : server
}

/** Whether "last seen" is old enough to be written although there is no news. */
export function isQuietlyDue(server: SourceServer, at: string): boolean {
  return unseenMs(server, at) >= quietWriteIntervalMs + quietWriteSpreadMs * fractionOf(server.sourceServerId)
}

/** Evenly spread from 0 to 1 and always the same for one server: its number ends in random hexadecimal digits. */
function fractionOf(id: SourceServerId): number {
  return parseInt(id.slice(-4), 16) / 2 ** 16
}

/** Whether "last seen" can stay as it is for a moment: the agent counts as live, and will for a while, or does not any more. */
function mayWaitAt(server: SourceServer, at: string): boolean {
  const ageMs = unseenMs(server, at)
  return ageMs < quietWriteLatestMs || (ageMs >= agentIsLiveMs && Number.isFinite(ageMs))
}

/** After a clock was set back, "last seen" is in the future: as wrong as one that is as old, for an agent that dies then would count as live until that time. */
function unseenMs({ agent }: SourceServer, at: string): number {
  return agent.lastSeenAt === undefined ? Infinity : Math.abs(Date.parse(at) - Date.parse(agent.lastSeenAt))
}

/**
 * Whether reports still move the server: after disconnecting and after the cutover the agent only has its leave to take, and one that is to stop hears
 * of it in the answer to a report of what it did before.
 */
function isReplicating({ lifecycle: { state } }: SourceServer): boolean {
  return state !== 'DISCONNECTED' && state !== 'CUTOVER' && state !== 'STOPPED'
}

/** In a first copy and a comparison the backlog holds all that was not looked at yet, which says nothing of trouble. */
function figuresOf({ state, lagMs, disks }: HeartbeatReport): MeasuredFigures {
  const isFollowing = state === 'CONTINUOUS' || state === 'BACKLOG'
  const backlogBytes = disks.reduce((sum, disk) => sum + disk.backlogBytes, 0)
  return { lagMs, backlogBytes: isFollowing ? backlogBytes : null }
}

function withNotes(server: SourceServer, report: HeartbeatReport, at: string): SourceServer {
  let next = server
  for (const { level, message } of report.notes) {
    if (next.outbox.length >= maxWaitingEvents) break
    next = withEvent(next, at, { type: 'AGENT', actor: 'agent', level, message })
  }
  return next
}

function withFailedPoint(server: SourceServer, report: HeartbeatReport, at: string): SourceServer {
  const failure = report.consistencyFailure
  return failure === undefined
    ? server
    : failConsistencyPoint(server, failure.consistencyPointId, failure.reason, at)
}

/** The first time in continuous mode ends the initial sync. */
function withReadiness(server: SourceServer, report: HeartbeatReport, at: string): SourceServer {
  const isInSync = report.state === 'CONTINUOUS' && server.replication.state === 'CONTINUOUS'
  if (!isInSync || server.lifecycle.state !== 'NOT_READY') return server
  const ready = withLifecycle(server, 'FINISH_INITIAL_SYNC', at, 'agent')
  return { ...ready, lifecycle: { ...ready.lifecycle, readyForTestAt: at } }
}

function withTrackers(server: SourceServer, report: HeartbeatReport, at: string): SourceServer {
  let next = server
  for (const measured of report.disks) {
    const disk = next.disks.find(({ diskIndex }) => diskIndex === measured.diskIndex)
    if (disk === undefined || disk.tracker?.kind === measured.tracker.kind) continue
    next = withEvent(replaceDisk(next, { ...disk, tracker: { ...measured.tracker } }), at, {
      type: 'AGENT',
      actor: 'agent',
      message: `Changes of ${disk.deviceName} are tracked by ${measured.tracker.kind}: ${measured.tracker.reason}`,
      detail: { diskIndex: disk.diskIndex, tracker: measured.tracker.kind },
    })
  }
  return next
}

function replaceDisk(server: SourceServer, disk: ReplicatedDisk): SourceServer {
  return {
    ...server,
    disks: server.disks.map((other) => (other.diskIndex === disk.diskIndex ? disk : other)),
  }
}

/** Progress, lag and "last seen". The moment of consistency is counted back from the gateway's clock, so that a wrong clock at the source does no harm. */
function withMeasurements(server: SourceServer, report: HeartbeatReport, at: string): SourceServer {
  const disks = server.disks.map((disk) => {
    const measured = report.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
    if (measured === undefined) return disk
    const { replicatedBytes, rescannedBytes, backlogBytes, tracker } = measured
    return {
      ...disk,
      replicatedBytes: Math.min(replicatedBytes, disk.sizeBytes),
      rescannedBytes,
      backlogBytes,
      tracker: { ...tracker },
    }
  })
  const { lagMs, timeLeftMs, readingSlowed } = report
  const lastConsistentAt = lagMs === null ? undefined : new Date(Date.parse(at) - lagMs).toISOString()
  const { etaDateTime: _past, readingSlowed: _before, ...replication } = server.replication
  const pace = isConvergenceError(replication.error)
    ? convergenceError(report.state, report.pace, replication.error)
    : undefined
  return {
    ...server,
    disks,
    lifecycle: { ...server.lifecycle, lastSeenByServiceAt: at },
    agent: { ...server.agent, lastSeenAt: at },
    replication: {
      ...replication,
      ...(pace === undefined ? {} : { error: pace }),
      ...(typeof timeLeftMs === 'number' && isReplicating(server)
        ? { etaDateTime: new Date(Date.parse(at) + timeLeftMs).toISOString() }
        : {}),
      ...(readingSlowed === undefined ? {} : { readingSlowed }),
      ...(lastConsistentAt === undefined || !isReplicating(server) ? {} : { lastConsistentAt }),
    },
  }
}
