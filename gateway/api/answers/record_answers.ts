/**
 * Records of initial replications as they are answered.
 * @module
 */
import type { InitialReplication, ReplicationRecord } from '../../../domain/replication_record.ts'
import { z } from 'zod'
import { amount, answerOf, bytes, count, moment, pageOf } from './answer_schema.ts'
import { diskUsage } from './server_parts.ts'

const stored = answerOf<ReplicationRecord>()(
  z
    .object({
      sourceServerId: z.string(),
      hostname: z.string(),
      replicationStartedAt: moment.exactOptional(),
      readyForTestAt: moment,
      initialReplicationDurationMinutes: amount.exactOptional(),
      replicatedStorageBytes: bytes,
      bandwidthThrottlingMbps: amount,
      replicationServerInstanceType: z.string(),
      averageBytesPerSecond: amount.exactOptional(),
      peakBytesPerSecond: amount.exactOptional(),
      wireBytes: bytes.exactOptional(),
      peakWireBytesPerSecond: amount.exactOptional(),
      changedBytes: bytes.exactOptional(),
      heldBackSeconds: amount.exactOptional(),
      heldBackBytes: bytes.exactOptional(),
      usedBytes: bytes.exactOptional(),
      fileSystemBytes: bytes.exactOptional(),
      forecastMinutes: amount.exactOptional(),
      forecastLowMinutes: amount.exactOptional(),
      forecastHighMinutes: amount.exactOptional(),
      isForecastNever: z.literal(true).exactOptional(),
      forecastCoveragePercent: amount.exactOptional(),
      disks: z
        .array(
          z.object({
            deviceName: z.string(),
            sizeBytes: bytes,
            isBootDisk: z.boolean(),
            startedAt: moment.exactOptional(),
            copiedAt: moment.exactOptional(),
          }),
        )
        .exactOptional(),
    })
    .meta({
      id: 'StoredReplicationRecord',
      description: 'How the initial replication of a server went; 0 Mbit/s is no limit',
    }),
)

/** A record. */
export const replicationRecord = stored.extend({ replicatedTotalStorageGB: amount }).meta({
  id: 'ReplicationRecord',
  description: 'How the initial replication of a server went; 0 Mbit/s is no limit',
})
export type RecordView = z.infer<typeof replicationRecord>

/** Records, page by page. */
export const recordPage = pageOf(replicationRecord).extend({
  unreadableIds: z
    .array(z.string())
    .exactOptional()
    .meta({ description: 'Items of the table that are no records: left out' }),
})
export type RecordPage = z.infer<typeof recordPage>

/** Where a stretch of a copy began. */
const copyMark = z.object({ at: moment, replicatedBytes: bytes, wireBytes: bytes })

const heldBack = z
  .object({
    seconds: amount,
    bytes,
    since: copyMark.extend({
      allowed: amount
        .nullable()
        .meta({ description: 'Bytes a second in the stretch under way; null is no limit' }),
    }),
  })
  .meta({
    id: 'HeldBackSum',
    description: 'For how long what was allowed held a copy back, and what was copied in it',
  })

const runCounter = z.object({ generation: count, runBytes: bytes, totalBytes: bytes })

/** What becomes of the record of a server. */
export const initialReplication = answerOf<InitialReplication>()(
  z
    .discriminatedUnion('state', [
      z.object({
        state: z.literal('COPYING'),
        figures: z.object({
          wire: runCounter,
          changed: runCounter.exactOptional(),
          mark: copyMark,
          peakBytesPerSecond: amount,
          peakWireBytesPerSecond: amount,
          usage: diskUsage.exactOptional(),
          heldBack: heldBack.exactOptional(),
          disks: z.array(
            z.object({
              diskIndex: count,
              startedAt: moment.exactOptional(),
              copiedAt: moment.exactOptional(),
            }),
          ),
        }),
      }),
      z.object({ state: z.literal('READY'), record: stored }),
      z.object({ state: z.literal('RECORDED'), recordedAt: moment }),
    ])
    .meta({ id: 'InitialReplication', description: 'The record of the first copy, on its way' }),
)
