/**
 * Records of initial replications as items. Items that the recorder of an MGN user has put into the same table are read as well: they have the same
 * attributes, fewer of them.
 * @module
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { RecordedDisk, ReplicationRecord } from '../../domain/replication_record.ts'
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb'
import { z } from 'zod'
import { attributesOf, gigabytes, storageAttribute } from '../../domain/record_attributes.ts'

/** The partition key. */
export const recordKey = 'SourceServerID'

/** The item of `record`, with times on the clocks of `timeZone`. */
export function itemOfRecord(record: ReplicationRecord, timeZone: string): Record<string, AttributeValue> {
  // A number that a floating-point number may not hold goes as its digits.
  const storage = { N: gigabytes(record.replicatedStorageBytes) }
  return { ...marshall(attributesOf(record, timeZone)), [storageAttribute]: storage }
}

/** A moment, whatever its zone, as ISO time in UTC. */
const moment = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString())
const count = z.number().min(0)

const diskSchema = z.object({
  DeviceName: z.string(),
  SizeBytes: count,
  IsBootDisk: z.boolean(),
  StartTime: moment.optional(),
  CopiedTime: moment.optional(),
})

const itemSchema = z.object({
  SourceServerID: z.string(),
  Hostname: z.string(),
  ReplicationStartTime: moment.optional(),
  ReadyForTestTime: moment,
  InitialReplicationDurationMinutes: count.optional(),
  ReplicatedTotalStorageGB: count,
  BandwidthThrottlingMbps: count,
  ReplicationServerInstanceType: z.string(),
  AverageBytesPerSecond: count.optional(),
  PeakBytesPerSecond: count.optional(),
  WireBytes: count.optional(),
  PeakWireBytesPerSecond: count.optional(),
  ChangedBytes: count.optional(),
  HeldBackSeconds: count.optional(),
  HeldBackBytes: count.optional(),
  UsedBytes: count.optional(),
  FileSystemBytes: count.optional(),
  ForecastMinutes: count.optional(),
  ForecastLowMinutes: count.optional(),
  ForecastHighMinutes: count.optional(),
  ForecastCoveragePercent: count.optional(),
  ForecastNever: z.literal(true).optional(),
  Disks: z.array(z.preprocess(withoutSuffixes, diskSchema)).optional(),
})

/** Attributes by names without the suffix of the zone that they were written in. */
function withoutSuffixes(attributes: unknown): unknown {
  if (typeof attributes !== 'object' || attributes === null) return attributes
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]: [string, unknown]) => [
      name.replace(/Time(JST|Local)$/, 'Time'),
      value,
    ]),
  )
}

/** The record in an item; undefined for what is none. */
export function recordOfItem(item: Record<string, AttributeValue>): ReplicationRecord | undefined {
  // Digits that a number cannot hold are lost here: of the storage only whole bytes are of interest.
  const plain = unmarshall(item, { wrapNumbers: (text: string) => Number(text) })
  const { success, data } = itemSchema.safeParse(withoutSuffixes(plain))
  if (!success) return undefined
  return withoutMissing({
    sourceServerId: data.SourceServerID,
    hostname: data.Hostname,
    replicationStartedAt: data.ReplicationStartTime,
    readyForTestAt: data.ReadyForTestTime,
    initialReplicationDurationMinutes: data.InitialReplicationDurationMinutes,
    replicatedStorageBytes: Math.round(data.ReplicatedTotalStorageGB * 2 ** 30),
    bandwidthThrottlingMbps: data.BandwidthThrottlingMbps,
    replicationServerInstanceType: data.ReplicationServerInstanceType,
    averageBytesPerSecond: data.AverageBytesPerSecond,
    peakBytesPerSecond: data.PeakBytesPerSecond,
    wireBytes: data.WireBytes,
    peakWireBytesPerSecond: data.PeakWireBytesPerSecond,
    changedBytes: data.ChangedBytes,
    heldBackSeconds: data.HeldBackSeconds,
    heldBackBytes: data.HeldBackBytes,
    usedBytes: data.UsedBytes,
    fileSystemBytes: data.FileSystemBytes,
    forecastMinutes: data.ForecastMinutes,
    forecastLowMinutes: data.ForecastLowMinutes,
    forecastHighMinutes: data.ForecastHighMinutes,
    forecastCoveragePercent: data.ForecastCoveragePercent,
    isForecastNever: data.ForecastNever,
    disks: data.Disks?.map((disk) =>
      withoutMissing<RecordedDisk>({
        deviceName: disk.DeviceName,
        sizeBytes: disk.SizeBytes,
        isBootDisk: disk.IsBootDisk,
        startedAt: disk.StartTime,
        copiedAt: disk.CopiedTime,
      }),
    ),
  })
}

/** `value` without the members that are undefined. */
function withoutMissing<T extends object>(value: { [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}
