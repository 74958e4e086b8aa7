/**
 * Making the record of a server's initial replication, and knowing whether it is still to be written. Pure.
 * @module
 */
import type { KeptCopyForecast } from './forecast.ts'
import type { ReplicationRecord, SyncFigures } from './replication_record.ts'
import type { SourceServer } from './source_server.ts'
import { heldBackInAll } from './held_back.ts'
import { standardInstanceType } from './launch.ts'

/** The record of a server that became ready for test at `readyAt`. `figures` are absent where nobody collected them. */
export function makeRecord(
  server: SourceServer,
  readyAt: string,
  figures: SyncFigures | undefined,
): ReplicationRecord {
  const { firstByteAt } = server.lifecycle
  // Events carry whole seconds, and whoever records from them must find the same times.
  const readyForTestAt = `${readyAt.slice(0, 19)}.000Z`
  const replicatedStorageBytes = server.disks.reduce(
    (sum, disk) => sum + Math.min(disk.replicatedBytes, disk.sizeBytes),
    0,
  )
  const { bandwidthThrottlingMbps, stagingChoices } = server.replicationConfiguration
  return {
    sourceServerId: server.sourceServerId,
    hostname: server.sourceProperties.identificationHints.hostname,
    ...(firstByteAt === undefined
      ? {}
      : {
          replicationStartedAt: firstByteAt,
          initialReplicationDurationMinutes: wholeMinutes(firstByteAt, readyForTestAt),
        }),
    readyForTestAt,
    replicatedStorageBytes,
    bandwidthThrottlingMbps,
    replicationServerInstanceType: stagingChoices?.replicationServerInstanceType ?? standardInstanceType,
    ...speeds(replicatedStorageBytes, firstByteAt, readyAt, figures),
    ...(figures === undefined ? {} : { wireBytes: figures.wire.totalBytes }),
    ...(figures?.changed === undefined ? {} : { changedBytes: figures.changed.totalBytes }),
    ...heldBackOf(figures, readyAt, replicatedStorageBytes),
    ...figures?.usage,
    ...saidBefore(server),
    disks: server.disks.map(({ diskIndex, deviceName, sizeBytes, isBootDisk }) => {
      const seen = figures?.disks.find((disk) => disk.diskIndex === diskIndex)
      return {
        deviceName,
        sizeBytes,
        isBootDisk,
        ...(seen?.startedAt === undefined ? {} : { startedAt: seen.startedAt }),
        ...(figures === undefined ? {} : { copiedAt: seen?.copiedAt ?? readyAt }),
      }
    }),
  }
}

function heldBackOf(
  figures: SyncFigures | undefined,
  at: string,
  replicatedBytes: number,
): Pick<ReplicationRecord, 'heldBackSeconds' | 'heldBackBytes'> {
  if (figures?.heldBack === undefined) return {}
  const end = { at, replicatedBytes, wireBytes: figures.wire.totalBytes }
  const { seconds, bytes } = heldBackInAll(figures.heldBack, end)
  return { heldBackSeconds: Math.round(seconds), heldBackBytes: bytes }
}

/** The record that is still to be written of `server`; undefined before it is ready, and when it is written. */
export function unwrittenRecord(server: SourceServer): ReplicationRecord | undefined {
  const { initialReplication, lifecycle } = server
  if (initialReplication?.state === 'RECORDED') return undefined
  if (initialReplication?.state === 'READY') return initialReplication.record
  // Ready before figures were collected: what is known is better than nothing.
  return lifecycle.readyForTestAt === undefined
    ? undefined
    : makeRecord(server, lifecycle.readyForTestAt, undefined)
}

/** What a server whose migration begins again keeps: a record once made stays the one of the first time. */
export function keptInitialReplication({
  initialReplication,
  copyForecast,
}: SourceServer): Pick<SourceServer, 'initialReplication' | 'copyForecast'> {
  if (initialReplication === undefined || initialReplication.state === 'COPYING') return {}
  return { initialReplication, ...(copyForecast === undefined ? {} : { copyForecast }) }
}

/** What makes the forecast of a server's first copy. */
export type CopyForecaster = (server: SourceServer) => KeptCopyForecast | undefined

/**
 * `server` with the forecast of its first copy, if its first byte has arrived since `before`. One that has a record, or is about to have, has been copied
 * once: nothing is said of it again.
 */
export function withCopyForecast(
  server: SourceServer,
  before: SourceServer,
  forecastOf: CopyForecaster,
): SourceServer {
  const isBegunNow = server.lifecycle.firstByteAt !== undefined && before.lifecycle.firstByteAt === undefined
  if (!isBegunNow || server.initialReplication !== undefined || server.copyForecast !== undefined)
    return server
  const copyForecast = forecastOf(server)
  return copyForecast === undefined ? server : { ...server, copyForecast }
}

function saidBefore({
  copyForecast,
}: SourceServer): Pick<
  ReplicationRecord,
  | 'forecastMinutes'
  | 'forecastLowMinutes'
  | 'forecastHighMinutes'
  | 'forecastCoveragePercent'
  | 'isForecastNever'
> {
  if (copyForecast === undefined) return {}
  if (copyForecast.never !== undefined) return { isForecastNever: true }
  const { expectedMinutes, lowMinutes, highMinutes, coveragePercent } = copyForecast
  return {
    forecastMinutes: expectedMinutes,
    forecastLowMinutes: lowMinutes,
    ...(highMinutes === undefined ? {} : { forecastHighMinutes: highMinutes }),
    forecastCoveragePercent: coveragePercent,
  }
}

/** Whole minutes from one moment to another, as `int()` of Python cuts them off. */
function wholeMinutes(from: string, to: string): number {
  return Math.max(0, Math.trunc((Date.parse(to) - Date.parse(from)) / 60_000))
}

function speeds(
  replicatedBytes: number,
  firstByteAt: string | undefined,
  readyAt: string,
  figures: SyncFigures | undefined,
): Pick<ReplicationRecord, 'averageBytesPerSecond' | 'peakBytesPerSecond' | 'peakWireBytesPerSecond'> {
  const elapsedMs = firstByteAt === undefined ? 0 : Date.parse(readyAt) - Date.parse(firstByteAt)
  if (elapsedMs <= 0) return {}
  const perSecond = (bytes: number): number => Math.round((bytes * 1000) / elapsedMs)
  const averageBytesPerSecond = perSecond(replicatedBytes)
  if (figures === undefined) return { averageBytesPerSecond }
  // A copy that took less than one stretch has the average alone, and no stretch that counts is slower than it.
  return {
    averageBytesPerSecond,
    peakBytesPerSecond: Math.max(averageBytesPerSecond, figures.peakBytesPerSecond),
    peakWireBytesPerSecond: Math.max(perSecond(figures.wire.totalBytes), figures.peakWireBytesPerSecond),
  }
}
