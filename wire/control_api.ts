/**
 * What agents and replication servers say to the gateway, over HTTPS with client certificates on the agent port. JSON; times are ISO
 * 8601 UTC. They ask, the gateway answers: an answer states what should be, not what to do next, so that losing one loses nothing.
 *
 * | call | who | certificate |
 * | --- | --- | --- |
 * | `GET /install.sh`, `GET /agent/…` | installer | none; the key is pinned in the command |
 * | `POST /agent/v1/enrol`, `POST /replicator/v1/enrol` | first contact | none; one-time token |
 * | `POST /agent/v1/renew`, `POST /replicator/v1/renew` | half life | yes |
 * | `POST /agent/v1/start` | each start of the agent | yes |
 * | `POST /agent/v1/heartbeat`, `POST /replicator/v1/heartbeat` | every few seconds | yes |
 * | `POST /agent/v1/uninstalled` | last word of an agent | yes |
 * | `POST /replicator/v1/consistency-points` | a barrier was reached | yes |
 * @module
 */
import * as z from 'zod'
import { dataReplicationErrors, dataReplicationStates } from '../domain/replication.ts'

const id = z.string().min(3).max(64)
const shortText = z.string().max(400)
const bytes = z.number().min(0).max(Number.MAX_SAFE_INTEGER)
const pem = z.string().max(20_000)

const diskUsageSchema = z
  .object({ usedBytes: bytes, fileSystemBytes: bytes })
  .refine(({ usedBytes, fileSystemBytes }) => usedBytes <= fileSystemBytes)

const sourceDiskSchema = z.object({
  deviceName: z.string().max(256),
  sizeBytes: bytes,
  stableId: z.string().max(256),
  attachmentId: z.string().max(128).optional(),
  isBootDisk: z.boolean(),
  excludedBecause: shortText.optional(),
  // Only forecasts and people want it: what is wrong with it must stop no agent.
  usage: diskUsageSchema.optional().catch(undefined),
})

/** The inventory. */
export const sourcePropertiesSchema = z.object({
  lastUpdatedAt: z.iso.datetime(),
  identificationHints: z.object({
    hostname: z.string().min(1).max(255),
    fqdn: z.string().max(255),
    vmWareUuid: z.string().max(64).optional(),
    awsInstanceId: z.string().max(64).optional(),
    machineId: z.string().max(64).optional(),
  }),
  os: z.object({ fullString: shortText, family: z.enum(['linux', 'windows', 'unknown']) }),
  cpus: z.array(z.object({ cores: z.int().min(1), modelName: shortText })).max(256),
  ramBytes: bytes,
  firmware: z.enum(['BIOS', 'UEFI', 'UNKNOWN']),
  networkInterfaces: z
    .array(
      z.object({
        name: z.string().max(64),
        macAddress: z.string().max(32),
        ips: z.array(z.string().max(64)).max(64),
        isPrimary: z.boolean(),
      }),
    )
    .max(32),
  disks: z.array(sourceDiskSchema).max(1000),
  writes: z.object({ seconds: z.number().positive(), bytes }).optional(),
})

const enrolBase = { token: z.string().min(10).max(200), csrPem: pem, version: z.string().max(64) }

/** `POST /agent/v1/enrol`. The disks to replicate are those without `excludedBecause`. */
export const agentEnrolSchema = z.object({
  ...enrolBase,
  sourceProperties: sourcePropertiesSchema,
  /** Without space around it, as an import takes it. */
  userProvidedId: z.string().trim().min(1).max(256).optional(),
  tags: z.record(z.string().max(128), z.string().max(256)).optional(),
})
export type AgentEnrol = z.infer<typeof agentEnrolSchema>

/** Its answer. */
export const enrolledSchema = z.object({
  /** Source server id or replication server id. */
  subjectId: id,
  certificatePem: pem,
  caPem: pem,
})
export type Enrolled = z.infer<typeof enrolledSchema>

/** `POST /replicator/v1/enrol`. */
export const replicatorEnrolSchema = z.object({ ...enrolBase, replicationServerId: id })
export type ReplicatorEnrol = z.infer<typeof replicatorEnrolSchema>

/** `POST …/renew`; answered like an enrolment. */
export const renewSchema = z.object({ csrPem: pem })
export type Renew = z.infer<typeof renewSchema>

/** `POST /agent/v1/start`: a new run of the agent, with a fresh inventory. */
export const agentStartSchema = z.object({
  version: z.string().max(64),
  bootId: z.string().max(64),
  sourceProperties: sourcePropertiesSchema,
})
export type AgentStart = z.infer<typeof agentStartSchema>

/** Its answer: the generation of this run. */
export const agentStartedSchema = z.object({ generation: z.int().min(1) })
export type AgentStarted = z.infer<typeof agentStartedSchema>

const pointOutcomeSchema = z.object({
  /** Counts those of this run from 1. */
  sequence: z.int().min(1),
  consistencyPointId: id,
  /** Milliseconds since its end. */
  agoMs: z.number().min(0),
  /** By the policy, not for a launch. */
  isScheduled: z.boolean(),
  /** How it was reached; absent when it was not. */
  method: z.enum(['FROZEN', 'QUIET']).optional(),
  failure: z.string().max(1000).optional(),
  /** How often file systems were frozen for it, and the longest time. */
  freezes: z.int().min(0),
  longestFreezeMs: z.number().min(0),
  /** From the first pre-freeze hook to the end of the last post-thaw hook. */
  longestHoldMs: z.number().min(0),
  hooks: z.enum(['NONE', 'RUN', 'FAILED', 'NOT_RUN']),
  hookFailure: z.string().max(1000).optional(),
})

const paceSchema = z.object({
  /** For how long it was measured without a break. */
  measuredMs: z.number().min(0),
  /** Bytes of blocks that became outstanding, a second. */
  changedBytesPerSecond: z.number().min(0),
  /** Bytes of blocks that became durable, a second. */
  durableBytesPerSecond: z.number().min(0),
  /** Of a first copy or a rescan. */
  rest: z
    .object({
      /** Not compared or copied yet, changed since, or on its way. */
      bytes,
      /** Of these, known to have to be sent. */
      waitingBytes: bytes,
      /** By how much it became less; below zero, it became more. */
      shrinkBytesPerSecond: z.number(),
    })
    .optional(),
})

const root = z.string().length(64)

/** How far a verification has come on each disk, and what it found. */
export const verificationReportSchema = z.object({
  verifyEpoch: z.int().min(1),
  isDone: z.boolean(),
  disks: z
    .array(
      z.object({
        diskIndex: z.int().min(0).max(59),
        checkedBytes: bytes,
        /** Blocks of the copy that differed; some of them damaged, which means: not what the replication server wrote. */
        differingBlocks: z.int().min(0),
        damagedBlocks: z.int().min(0),
        /** Of the differing ones: sent again, and found right. */
        repairedBlocks: z.int().min(0),
        unreadableBlocks: z.int().min(0),
        /** Where the copy differed, the first places. */
        differences: z.array(z.object({ offsetBytes: bytes, lengthBytes: bytes })).max(20),
        /** Over what was compared, each computed at its own end; once the disk is done. */
        sourceRoot: root.optional(),
        replicaRoot: root.optional(),
        durationMs: z.number().min(0),
      }),
    )
    .max(60),
})
export type VerificationReport = z.infer<typeof verificationReportSchema>

/** `POST /agent/v1/heartbeat`: what the agent is doing. */
export const agentHeartbeatSchema = z.object({
  generation: z.int().min(1),
  state: z.enum(dataReplicationStates),
  /** Connected to the replicator that was named. */
  isConnected: z.boolean(),
  firstByteAt: z.iso.datetime().optional(),
  lastConsistentAt: z.iso.datetime().optional(),
  lagMs: z.number().min(0).nullable(),
  backlogBytes: bytes,
  bytesPerSecond: z.number().min(0),
  /** Payload as it crossed the wire since the agent started. */
  sentBytes: bytes,
  /** Bytes of blocks that were found changed since the agent started; agents before it did not count them. */
  changedBytes: bytes.optional(),
  /** Milliseconds until replica and source are the same, in the first copy or a rescan; null while that cannot be known. */
  timeLeftMs: z.number().min(0).nullable().optional(),
  /** Speeds of change and of copying over the last minutes, and what is left of a first copy or a rescan. */
  pace: paceSchema.optional(),
  /** Why copies and comparisons read slowly now, in a sentence; absent while they do not. */
  readingSlowed: shortText.optional(),
  /** The highest rescan epoch that has been begun. */
  rescanEpoch: z.int().min(0),
  disks: z.array(
    z.object({
      diskIndex: z.int().min(0).max(59),
      sizeBytes: bytes,
      replicatedBytes: bytes,
      rescannedBytes: bytes,
      backlogBytes: bytes,
      tracker: z.object({ kind: z.string().max(32), reason: shortText }),
    }),
  ),
  /** The disks of the machine, whenever they are others than at the last report that was answered. */
  sourceDisks: z.array(sourceDiskSchema).max(1000).optional(),
  /** A consistency point that could not be reached, and why. */
  consistencyFailure: z.object({ consistencyPointId: id, reason: z.string().max(1000) }).optional(),
  /** What became of consistency points, until it was answered. */
  pointOutcomes: z.array(pointOutcomeSchema).max(50).optional(),
  /** The verification that is asked for, until the gateway no longer asks. */
  verification: verificationReportSchema.optional(),
  error: z
    .object({
      error: z.enum(dataReplicationErrors),
      rawError: z.string().max(2000),
      whatToDo: z.string().max(1000),
    })
    .optional(),
  /** Sentences worth an event in the dashboard, each sent once. */
  notes: z
    .array(z.object({ level: z.enum(['INFO', 'WARNING', 'ERROR']), message: z.string().max(1000) }))
    .max(50),
})
export type AgentHeartbeat = z.infer<typeof agentHeartbeatSchema>

/** Its answer: what should be. */
export const agentDesiredSchema = z.object({
  mode: z.enum(['IDLE', 'REPLICATE', 'PAUSE', 'STOP', 'UNINSTALL']),
  /** The only place blocks may be sent to; absent while there is none. */
  replicator: z
    .object({ replicationServerId: id, address: z.string().max(255), port: z.int().min(1).max(65535) })
    .optional(),
  disks: z.array(
    z.object({
      diskIndex: z.int().min(0).max(59),
      deviceName: z.string().max(256),
      /** Of the disk that the volume is a copy of: no other one is opened, whatever its name. */
      stableId: z.string().max(256),
      /** As the inventory has it, where `stableId` does not tell the disk from every other. */
      attachmentId: z.string().max(128).optional(),
      volumeId: id,
      sizeBytes: bytes,
    }),
  ),
  /** Why nothing is replicated although it is wanted, where the gateway sees the reason and the agent does not. */
  obstacle: z.object({ reason: z.string(), whatToDo: z.string() }).optional(),
  throttleBitsPerSecond: z.number().min(0),
  /** No blocks are sent for now; changes go on being tracked. Gateways before it never said so. */
  isSendingOff: z.boolean().optional(),
  /** Copies and comparisons read slowly while the source's disks are busy. */
  yieldsToSource: z.boolean().optional(),
  rescanEpoch: z.int().min(0),
  /** Present while a verification is asked for and its result has not come; a higher one is another one. */
  verifyEpoch: z.int().min(1).optional(),
  consistencyPoint: z
    .object({ consistencyPointId: id, expiresAt: z.iso.datetime(), maxFreezeMs: z.int().min(0) })
    .optional(),
  /** How points are reached; older gateways do not say, and the default holds. */
  consistencyPolicy: z
    .object({
      intervalMinutes: z.int().min(0),
      maxFreezeMs: z.int().min(0),
      hookTimeoutSeconds: z.int().min(1),
      maxHoldSeconds: z.int().min(1),
      onHookFailure: z.enum(['FAIL', 'CRASH_CONSISTENT']),
    })
    .optional(),
  renewCertificate: z.boolean(),
  heartbeatIntervalMs: z.int().min(100).max(600_000),
})
export type AgentDesired = z.infer<typeof agentDesiredSchema>

/** `POST /replicator/v1/heartbeat`. */
export const replicatorHeartbeatSchema = z.object({
  version: z.string().max(64),
  /** The port it listens on. */
  port: z.int().min(1).max(65535),
  sessions: z
    .array(
      z.object({
        sourceServerId: id,
        generation: z.int().min(0),
        isConnected: z.boolean(),
        /** The volumes it has opened. */
        openVolumeIds: z.array(id).max(60),
        /** The consistency point at which later writes are being held back. */
        heldConsistencyPointId: id.optional(),
        error: z.string().max(2000).optional(),
        /** Sentences worth an event in the dashboard, each sent until a heartbeat was answered. */
        notes: z
          .array(z.object({ level: z.enum(['INFO', 'WARNING', 'ERROR']), message: z.string().max(1000) }))
          .max(20)
          .optional(),
      }),
    )
    .max(1000),
})
export type ReplicatorHeartbeat = z.infer<typeof replicatorHeartbeatSchema>

/** Its answer: whose blocks it takes and where they go. It serves nobody else. */
export const replicatorDesiredSchema = z.object({
  assignments: z.array(
    z.object({
      sourceServerId: id,
      /** Hexadecimal serial of the agent's certificate; another one is refused. Rotates with renewal. */
      certificateSerials: z.array(z.string().max(64)),
      volumes: z.array(
        z.object({
          diskIndex: z.int().min(0).max(59),
          volumeId: id,
          devicePath: z.string().max(4096),
          sizeBytes: bytes,
        }),
      ),
      consistencyPoint: z
        .object({
          consistencyPointId: id,
          state: z.enum(['REQUESTED', 'REACHED', 'TAKEN', 'EXPIRED', 'FAILED']),
        })
        .optional(),
    }),
  ),
  /** How volumes are read again in the background; absent: not at all. */
  scrub: z
    .object({
      /** From the end of one time to the begin of the next. 0: not at all. */
      intervalMs: z.int().min(0),
      /** Of all volumes together. */
      bytesPerSecond: z.int().min(1),
    })
    .optional(),
  renewCertificate: z.boolean(),
  heartbeatIntervalMs: z.int().min(100).max(600_000),
})
export type ReplicatorDesired = z.infer<typeof replicatorDesiredSchema>

/** `POST /replicator/v1/consistency-points`: a barrier is durable and later writes are held back. */
export const consistencyReachedSchema = z.object({
  sourceServerId: id,
  consistencyPointId: id,
  method: z.enum(['FROZEN', 'QUIET']),
  frozenMs: z.number().min(0),
  roots: z.array(z.object({ diskIndex: z.int().min(0).max(59), root: z.string().length(64) })),
  /** What was still to be read, where that is why a disk has no root. */
  unread: z.object({ unknownBytes: z.number().min(0), bytesPerSecond: z.number().min(1) }).optional(),
})
export type ConsistencyReached = z.infer<typeof consistencyReachedSchema>

/** Every refusal: RFC 9457 problem+json. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
})
export type Problem = z.infer<typeof problemSchema>

/** The one URI SAN of a certificate. */
export function agentUri(sourceServerId: string): string {
  return `rehost://source-server/${sourceServerId}`
}

/** The one URI SAN of a replication server's certificate. */
export function replicatorUri(replicationServerId: string): string {
  return `rehost://replication-server/${replicationServerId}`
}

/** The DNS SAN that every replication server's certificate also carries, so that TLS clients can name it. */
export const replicatorServerName = 'replicator.rehost.internal'

/** The DNS SAN of the gateway's certificate on the agent port. */
export const gatewayServerName = 'gateway.rehost.internal'
