/**
 * The downtime of a cutover: from the consistency point that the cutover machine is made from until that machine has passed its check. What the source
 * writes after the point is not in the machine, so it is taken to be quiet from then on. Learned from launches that went well. Pure.
 * @module
 */
import type { KeptDowntimeForecast, LaunchTime, LaunchTimes } from './forecast.ts'
import type { JobId, SourceServerId } from './ids.ts'
import type { LogSpread } from './log_spread.ts'
import type { SourceServer } from './source_server.ts'
import type { Task } from './task.ts'
import { coveragePercent } from './copy_pace.ts'
import { logSpread, median } from './log_spread.ts'

/** Launches of one server. */
export interface LaunchHistory extends LaunchTimes {
  sourceServerId: SourceServerId
}

/** What can be said of a downtime to come. */
export type DowntimeForecast =
  | { state: 'UNKNOWN'; because: string }
  | {
      state: 'EXPECTED'
      expectedSeconds: number
      lowSeconds: number
      highSeconds: number
      coveragePercent: number
      /** From asking to the consistency point, as other launches took: the source works on meanwhile. */
      beforePointSeconds: number
      basis: { launches: number; isOwnTest: boolean; words: string }
    }

/** Tenths of the normal distribution. */
const tenths = 1.2816

/** Test and cutover of one server are the same steps: until cutovers have shown it, they are taken to differ by up to a half or so. */
const assumedRatio = { value: 1, weight: 1 }
const assumedRatioWidth = 0.2

/** A test launch of another server says less of a cutover than a cutover does. */
const testWeight = 0.5

/** Seconds of the downtime that a launch was, or would have been as a cutover. */
export function downtimeSeconds({ pointAt, upAt }: LaunchTime): number {
  return Math.max(0, Date.parse(upAt) - Date.parse(pointAt)) / 1000
}

/** The launches of `servers` that went well. */
export function launchHistory(servers: readonly SourceServer[]): LaunchHistory[] {
  return servers.flatMap(({ sourceServerId, launchTimes }) =>
    launchTimes?.test === undefined && launchTimes?.cutover === undefined
      ? []
      : [{ sourceServerId, ...launchTimes }],
  )
}

/** The downtime of a cutover of `server`, from what launches took. Those of the server itself say most. */
export function forecastDowntime(server: SourceServer, past: readonly LaunchHistory[]): DowntimeForecast {
  const own = server.launchTimes?.test ?? server.launchTimes?.cutover
  const launches = past.flatMap(({ test, cutover }) =>
    [test, cutover].filter((launch) => launch !== undefined),
  )
  const found = own === undefined ? fromOthers(past) : fromOwn(own, past)
  if (found === undefined)
    return {
      state: 'UNKNOWN',
      because: 'No machine has been launched and checked yet; a test launch of this server tells it best',
    }
  const { spread, words } = found
  const at = (rank: number): number => Math.ceil(Math.exp(spread.middle + rank * spread.width))
  const waits = launches.map(({ askedAt, pointAt }) => (Date.parse(pointAt) - Date.parse(askedAt)) / 1000)
  return {
    state: 'EXPECTED',
    expectedSeconds: at(0),
    lowSeconds: at(-tenths),
    highSeconds: at(tenths),
    coveragePercent,
    beforePointSeconds: Math.ceil(Math.max(0, median(waits) ?? 0)),
    basis: { launches: launches.length, isOwnTest: own !== undefined, words },
  }
}

interface Found {
  spread: LogSpread
  words: string
}

function fromOwn(own: LaunchTime, past: readonly LaunchHistory[]): Found | undefined {
  const ratios = past.flatMap(({ test, cutover }) => {
    if (test === undefined || cutover === undefined) return []
    const value = downtimeSeconds(cutover) / downtimeSeconds(test)
    return value > 0 && Number.isFinite(value) ? [{ value, weight: 1 }] : []
  })
  const ratio = logSpread(ratios.length === 0 ? [assumedRatio] : ratios, assumedRatioWidth)
  const seconds = downtimeSeconds(own)
  if (ratio === undefined || seconds <= 0) return undefined
  const servers = `${ratios.length} ${ratios.length === 1 ? 'server' : 'servers'}`
  const words =
    ratios.length === 0
      ? `from a launch of this server, which took ${Math.round(seconds)} s`
      : `from a launch of this server, which took ${Math.round(seconds)} s, and how test and cutover of ${servers} compare`
  return { spread: { ...ratio, middle: ratio.middle + Math.log(seconds) }, words }
}

function fromOthers(past: readonly LaunchHistory[]): Found | undefined {
  const seen = past.flatMap(({ test, cutover }) => [
    ...(test === undefined ? [] : [{ value: downtimeSeconds(test), weight: testWeight }]),
    ...(cutover === undefined ? [] : [{ value: downtimeSeconds(cutover), weight: 1 }]),
  ])
  const spread = logSpread(seen)
  if (spread === undefined) return undefined
  const many = `${seen.length} ${seen.length === 1 ? 'launch' : 'launches'} of other servers`
  return { spread, words: `from ${many}; a test launch of this server would tell it better` }
}

/** `server`, of which a cutover is asked for, with what is expected of its downtime. Unchanged where nothing can be said. */
export function withDowntimeForecast(
  server: SourceServer,
  past: readonly LaunchHistory[],
  jobId: JobId,
  madeAt: string,
): SourceServer {
  const expected = forecastDowntime(server, past)
  const { forecast: _before, ...launchTimes } = server.launchTimes ?? {}
  if (expected.state === 'UNKNOWN')
    return server.launchTimes === undefined ? server : { ...server, launchTimes }
  const { expectedSeconds, lowSeconds, highSeconds } = expected
  const forecast = { jobId, madeAt, expectedSeconds, lowSeconds, highSeconds, coveragePercent }
  return { ...server, launchTimes: { ...launchTimes, forecast } }
}

/** `server` with the time that its launch took, if it was checked: a machine that was left stopped has no time. */
export function withLaunchTime(server: SourceServer, task: Task): SourceServer {
  const outputOf = (name: string) => task.steps.find((step) => step.name === name)
  const point = server.consistencyRequest
  const asked = outputOf('request-consistency-point')?.output as { consistencyPointId: string } | undefined
  const check = outputOf('check-boot')
  const { checked = [] } = (check?.output ?? {}) as { checked?: string[] }
  const isOwnPoint = point?.reachedAt !== undefined && point.consistencyPointId === asked?.consistencyPointId
  if (!isOwnPoint || check?.endedAt === undefined || checked.length === 0 || task.jobId === undefined)
    return server
  const launch: LaunchTime = {
    jobId: task.jobId,
    askedAt: task.createdAt,
    pointAt: point.reachedAt ?? '',
    upAt: check.endedAt,
  }
  const kind = task.initiatedBy === 'START_CUTOVER' ? 'cutover' : 'test'
  return { ...server, launchTimes: { ...server.launchTimes, [kind]: launch } }
}

/** The last cutover that went well, with what was expected of it where that is known. */
export function cutoverDowntime({
  launchTimes,
}: Pick<SourceServer, 'launchTimes'>):
  { actualSeconds: number; launch: LaunchTime; forecast?: KeptDowntimeForecast } | undefined {
  const { cutover: launch, forecast } = launchTimes ?? {}
  if (launch === undefined) return undefined
  const actualSeconds = downtimeSeconds(launch)
  return forecast?.jobId === launch.jobId ? { actualSeconds, launch, forecast } : { actualSeconds, launch }
}
