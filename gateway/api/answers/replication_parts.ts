/**
 * The replication of a server, as answers have it: its state, consistency points, verification, and the figures of its first copy.
 * @module
 */
import type { ReplicationServerId, SnapshotId } from '../../../domain/ids.ts'
import type { ConsistencyPointId } from '../../../domain/ids.ts'
import type { PointFigures } from '../../../domain/point_outcome.ts'
import type { ConsistencyRequest, DataReplication } from '../../../domain/source_server.ts'
import type { Verification } from '../../../domain/verified_disk.ts'
import { z } from 'zod'
import { initiationStepNames, initiationStepStatuses } from '../../../domain/initiation.ts'
import { dataReplicationErrors, dataReplicationStates } from '../../../domain/replication.ts'
import { serverTelemetrySchema } from '../../../wire/telemetry.ts'
import { amount, answerOf, bytes, count, idOf, moment } from './answer_schema.ts'

const method = z.enum(['FROZEN', 'QUIET'])

/** BLAKE3 over the hashes of the blocks of a disk. */
const root = z.string().meta({ description: 'BLAKE3 over the hashes of all blocks, in hexadecimal' })

/** The roots of disks. */
export const diskRoots = z.array(z.object({ diskIndex: count, root }))

const pointFigures = answerOf<PointFigures>()(
  z
    .object({
      counted: z.object({ generation: count, sequence: count }),
      last: z.object({
        at: moment,
        consistencyPointId: z.string(),
        isScheduled: z.boolean(),
        method: method.optional(),
        failure: z.string().optional(),
        freezes: count,
        longestFreezeMs: amount,
        longestHoldMs: amount,
        hooks: z.enum(['NONE', 'RUN', 'FAILED', 'NOT_RUN']),
        hookFailure: z.string().optional(),
      }),
      reachedAt: moment.exactOptional(),
      held: z.object({ at: moment, freezeMs: amount, holdMs: amount }).exactOptional(),
      failure: z.object({ at: moment, reason: z.string() }).exactOptional(),
      hours: z.array(
        z.object({
          at: moment,
          reached: count,
          failed: count,
          freezes: count,
          longestFreezeMs: amount,
          longestHoldMs: amount,
        }),
      ),
    })
    .meta({
      id: 'ConsistencyPointFigures',
      description: 'What became of the consistency points of the last day',
    }),
)

const verdict = z.enum(['IDENTICAL', 'REPAIRED', 'DIFFERENT', 'INCOMPLETE'])

const verification = answerOf<Verification>()(
  z
    .object({
      verifyEpoch: count,
      askedAt: moment,
      askedBy: z.string(),
      endedAt: moment.exactOptional(),
      verdict: verdict.exactOptional(),
      disks: z.array(
        z.object({
          diskIndex: count,
          checkedBytes: bytes,
          differingBlocks: count,
          damagedBlocks: count,
          repairedBlocks: count,
          unreadableBlocks: count,
          differences: z.array(z.object({ offsetBytes: bytes, lengthBytes: bytes })),
          sourceRoot: root.optional(),
          replicaRoot: root.optional(),
          durationMs: amount,
        }),
      ),
    })
    .meta({
      id: 'Verification',
      description: 'The last comparison of every block at both ends, over or not',
    }),
)

/** Replication. */
export const replication = answerOf<DataReplication>()(
  z
    .object({
      state: z.enum(dataReplicationStates),
      initiation: z.object({
        startedAt: moment.exactOptional(),
        nextAttemptAt: moment.exactOptional(),
        steps: z.array(
          z.object({ name: z.enum(initiationStepNames), status: z.enum(initiationStepStatuses) }),
        ),
      }),
      error: z
        .object({ error: z.enum(dataReplicationErrors), rawError: z.string(), whatToDo: z.string() })
        .exactOptional(),
      lastSnapshotAt: moment.exactOptional(),
      lastConsistentAt: moment.exactOptional(),
      etaDateTime: moment.exactOptional(),
      readingSlowed: z.string().exactOptional(),
      replicationServerId: idOf<ReplicationServerId>('a replication server').exactOptional(),
      exceeded: z.array(z.enum(['LAG', 'BACKLOG'])).exactOptional(),
      points: pointFigures.exactOptional(),
      rescanEpoch: count,
      verification: verification.exactOptional(),
    })
    .meta({
      id: 'Replication',
      description: 'Replication as the gateway has stored it; live figures are beside it',
    }),
)

/** A consistency point that was asked for. */
export const consistencyRequest = answerOf<ConsistencyRequest>()(
  z
    .object({
      consistencyPointId: idOf<ConsistencyPointId>('a consistency point'),
      state: z.enum(['REQUESTED', 'REACHED', 'TAKEN', 'EXPIRED', 'FAILED']),
      requestedAt: moment,
      expiresAt: moment,
      reachedAt: moment.exactOptional(),
      method: method.exactOptional(),
      frozenMs: amount.exactOptional(),
      roots: diskRoots.exactOptional(),
      unread: z.object({ unknownBytes: bytes, bytesPerSecond: amount }).exactOptional(),
      snapshots: z
        .array(
          z.object({ snapshotId: idOf<SnapshotId>('a snapshot'), diskIndex: count, isBootDisk: z.boolean() }),
        )
        .exactOptional(),
      failure: z.string().exactOptional(),
    })
    .meta({
      id: 'ConsistencyRequest',
      description: 'The last consistency point that was asked of the agent',
    }),
)

const { disks: figuresOfDisks } = serverTelemetrySchema.shape

/** Live figures. */
export const telemetry = serverTelemetrySchema
  .extend({
    lagMs: amount.nullable(),
    backlogBytes: bytes,
    bytesPerSecond: amount,
    durableBytes: bytes,
    wireBytes: bytes,
    rescans: count,
    disks: z.array(
      figuresOfDisks.element.extend({
        diskIndex: count,
        sizeBytes: bytes,
        scannedBytes: bytes,
        backlogBytes: bytes,
        durableBytes: bytes,
      }),
    ),
  })
  .meta({ id: 'Telemetry', description: 'Live figures, absent when nobody has told any for half a minute' })
