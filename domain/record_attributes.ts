/**
 * A record of an initial replication as attributes: those of the table that people already collect such records in, under the same names, and
 * what Rehost adds.
 * @module
 */
import type { ReplicationRecord } from './replication_record.ts'
import { zonedTime } from './zoned_time.ts'

/** A disk in an attribute. */
export type DiskAttributes = Record<string, string | number | boolean>

/** A value; of ReplicatedTotalStorageGB the digits of its number, which a floating-point number may not hold. */
export type AttributeOfRecord = string | number | boolean | DiskAttributes[]

/** Name of the attribute with the storage in GB. */
export const storageAttribute = 'ReplicatedTotalStorageGB'

/** What names of times end in: `JST`, as in tables that exist, where that is the zone, and otherwise one word whatever the zone. */
export function timeSuffix(timeZone: string): 'JST' | 'Local' {
  return timeZone === 'Asia/Tokyo' ? 'JST' : 'Local'
}

type Column = readonly [name: string, valueOf: (record: ReplicationRecord) => AttributeOfRecord | undefined]

/** All of them, in the order in which a file has them. */
function columnsOf(timeZone: string): Column[] {
  const suffix = timeSuffix(timeZone)
  const time = (iso: string | undefined): string | undefined =>
    iso === undefined ? undefined : zonedTime(iso, timeZone)
  return [
    ['SourceServerID', ({ sourceServerId }) => sourceServerId],
    ['Hostname', ({ hostname }) => hostname],
    [`ReplicationStartTime${suffix}`, (record) => time(record.replicationStartedAt)],
    [`ReadyForTestTime${suffix}`, (record) => time(record.readyForTestAt)],
    ['InitialReplicationDurationMinutes', (record) => record.initialReplicationDurationMinutes],
    [storageAttribute, (record) => gigabytes(record.replicatedStorageBytes)],
    ['BandwidthThrottlingMbps', (record) => record.bandwidthThrottlingMbps],
    ['ReplicationServerInstanceType', (record) => record.replicationServerInstanceType],
    ['AverageBytesPerSecond', (record) => record.averageBytesPerSecond],
    ['PeakBytesPerSecond', (record) => record.peakBytesPerSecond],
    ['WireBytes', (record) => record.wireBytes],
    ['PeakWireBytesPerSecond', (record) => record.peakWireBytesPerSecond],
    ['ChangedBytes', (record) => record.changedBytes],
    ['HeldBackSeconds', (record) => record.heldBackSeconds],
    ['HeldBackBytes', (record) => record.heldBackBytes],
    ['UsedBytes', (record) => record.usedBytes],
    ['FileSystemBytes', (record) => record.fileSystemBytes],
    ['ForecastMinutes', (record) => record.forecastMinutes],
    ['ForecastLowMinutes', (record) => record.forecastLowMinutes],
    ['ForecastHighMinutes', (record) => record.forecastHighMinutes],
    ['ForecastCoveragePercent', (record) => record.forecastCoveragePercent],
    ['ForecastNever', (record) => record.isForecastNever],
    [
      'Disks',
      ({ disks }) =>
        disks?.map(({ deviceName, sizeBytes, isBootDisk, startedAt, copiedAt }) => ({
          DeviceName: deviceName,
          SizeBytes: sizeBytes,
          IsBootDisk: isBootDisk,
          ...(startedAt === undefined ? {} : { [`StartTime${suffix}`]: zonedTime(startedAt, timeZone) }),
          ...(copiedAt === undefined ? {} : { [`CopiedTime${suffix}`]: zonedTime(copiedAt, timeZone) }),
        })),
    ],
    ['TimeZone', () => timeZone],
  ]
}

/** The names, in the order in which a file has them. */
export function recordColumns(timeZone: string): string[] {
  return columnsOf(timeZone).map(([name]) => name)
}

/** The attributes that `record` has, with times on the clocks of `timeZone`. */
export function attributesOf(record: ReplicationRecord, timeZone: string): Record<string, AttributeOfRecord> {
  return Object.fromEntries(
    columnsOf(timeZone).flatMap(([name, valueOf]) => {
      const value = valueOf(record)
      return value === undefined ? [] : [[name, value] as const]
    }),
  )
}

const bytesPerGigabyte = 2n ** 30n
/** 2^30 divides 10^30, so that a quotient by it ends after at most so many digits. */
const fractionDigits = 30
/** As Python's decimals keep. */
const significantDigits = 28

/** `bytes` / 1024³ in decimal digits, as Python's `Decimal` computes it: 28 significant digits, a half to the even one. */
export function gigabytes(bytes: number): string {
  let digits = (BigInt(bytes) * 10n ** BigInt(fractionDigits)) / bytesPerGigabyte
  const excess = String(digits).length - significantDigits
  if (excess > 0) {
    const unit = 10n ** BigInt(excess)
    const rest = digits % unit
    const isUp = rest * 2n > unit || (rest * 2n === unit && (digits / unit) % 2n === 1n)
    digits = digits - rest + (isUp ? unit : 0n)
  }
  const padded = String(digits).padStart(fractionDigits + 1, '0')
  const fraction = padded.slice(-fractionDigits).replace(/0+$/, '')
  return `${padded.slice(0, -fractionDigits)}${fraction === '' ? '' : `.${fraction}`}`
}
