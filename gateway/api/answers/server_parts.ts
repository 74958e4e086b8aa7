/**
 * Parts of a server, as answers have them: what the agent saw of the machine, disks, life cycle, the agent.
 * @module
 */
import type { JobId, TaskId, VolumeId } from '../../../domain/ids.ts'
import type { OfferedDisk } from '../../../domain/offered_disk.ts'
import type { DiskUsage, SourceDisk, SourceProperties } from '../../../domain/source_properties.ts'
import type { ActiveTask, AgentRecord, Lifecycle, ReplicatedDisk } from '../../../domain/source_server.ts'
import { z } from 'zod'
import { lifecycleStates } from '../../../domain/lifecycle.ts'
import { taskKinds } from '../../../domain/task.ts'
import { amount, answerOf, bytes, count, idOf, moment } from './answer_schema.ts'

/** What started a job. */
export const jobInitiator = z.enum(['START_TEST', 'START_CUTOVER', 'DIAGNOSTIC', 'TERMINATE'])

/** The id of a job. */
export const jobId = idOf<JobId>('a job')

/** How full disks are. */
export const diskUsage = answerOf<DiskUsage>()(
  z.object({ usedBytes: bytes, fileSystemBytes: bytes }).meta({
    id: 'DiskUsage',
    description:
      'How full the file systems are that are mounted, and how large; of other space nothing is known',
  }),
)

/** A disk of the source. */
const sourceDisk = answerOf<SourceDisk>()(
  z
    .object({
      deviceName: z.string(),
      sizeBytes: bytes,
      stableId: z.string(),
      attachmentId: z.string().exactOptional(),
      isBootDisk: z.boolean(),
      excludedBecause: z.string().exactOptional(),
      usage: diskUsage.exactOptional(),
    })
    .meta({ id: 'SourceDisk', description: 'A disk of the source as its agent sees it' }),
)

/** What the agent saw of the machine. */
export const sourceProperties = answerOf<SourceProperties>()(
  z
    .object({
      lastUpdatedAt: moment,
      identificationHints: z.object({
        hostname: z.string(),
        fqdn: z.string(),
        vmWareUuid: z.string().exactOptional(),
        awsInstanceId: z.string().exactOptional(),
        machineId: z.string().exactOptional(),
      }),
      os: z.object({ fullString: z.string(), family: z.enum(['linux', 'windows', 'unknown']) }),
      cpus: z.array(z.object({ cores: count, modelName: z.string() })),
      ramBytes: bytes,
      firmware: z.enum(['BIOS', 'UEFI', 'UNKNOWN']),
      networkInterfaces: z.array(
        z.object({
          name: z.string(),
          macAddress: z.string(),
          ips: z.array(z.string()),
          isPrimary: z.boolean(),
        }),
      ),
      disks: z.array(sourceDisk),
      writes: z.object({ seconds: amount, bytes }).exactOptional(),
    })
    .meta({ id: 'SourceProperties', description: 'What the agent saw of the machine' }),
)

/** A disk that is replicated. */
export const replicatedDisk = answerOf<ReplicatedDisk>()(
  z
    .object({
      diskIndex: count,
      deviceName: z.string(),
      stableId: z.string(),
      sizeBytes: bytes,
      isBootDisk: z.boolean(),
      volumeId: idOf<VolumeId>('a volume').exactOptional(),
      devicePath: z.string().exactOptional(),
      isJoining: z.literal(true).exactOptional(),
      replacement: sourceDisk.exactOptional(),
      wantedSizeBytes: bytes.exactOptional(),
      extension: z.object({ failure: z.string(), nextAttemptAt: moment }).exactOptional(),
      replicatedBytes: bytes,
      rescannedBytes: bytes,
      backlogBytes: bytes,
      tracker: z.object({ kind: z.string(), reason: z.string() }).exactOptional(),
    })
    .meta({ id: 'ReplicatedDisk', description: 'A disk of the source and how far its copy is' }),
)

/** A disk that could be replicated. */
export const offeredDisk = answerOf<OfferedDisk>()(
  z
    .object({
      deviceName: z.string(),
      stableId: z.string(),
      sizeBytes: bytes,
      noticedAt: moment,
      refusedBy: z.string().exactOptional(),
    })
    .meta({ id: 'OfferedDisk', description: 'A disk that has appeared and is not replicated' }),
)

const lifecycleMoment = z
  .object({ apiCallAt: moment, jobId: jobId.exactOptional() })
  .meta({ id: 'LifecycleMoment', description: 'A call of the operator, and the job that came of it' })

/** A test or a cutover: asked for, taken back, made final. */
export const launchMoments = z
  .object({
    initiated: lifecycleMoment.exactOptional(),
    reverted: lifecycleMoment.exactOptional(),
    finalized: lifecycleMoment.exactOptional(),
  })
  .meta({
    id: 'LaunchMoments',
    description: 'When a test or a cutover was asked for, taken back, made final',
  })

/** The life cycle. */
export const lifecycle = answerOf<Lifecycle>()(
  z
    .object({
      state: z.enum(lifecycleStates),
      addedToServiceAt: moment,
      firstByteAt: moment.exactOptional(),
      readyForTestAt: moment.exactOptional(),
      lastSeenByServiceAt: moment.exactOptional(),
      lastTest: launchMoments.exactOptional(),
      lastCutover: launchMoments.exactOptional(),
    })
    .meta({ id: 'Lifecycle', description: 'Where the server is in its migration' }),
)

type OfInstalledAgent = 'version' | 'certificateSerial' | 'certificateNotAfter'
/** The agent as it is answered. */
export type AnsweredAgent = Omit<AgentRecord, OfInstalledAgent> & Partial<Pick<AgentRecord, OfInstalledAgent>>

const onceEnrolled = 'Absent until an agent of the server has enrolled'

/** The agent. */
export const agent = answerOf<AnsweredAgent>()(
  z
    .object({
      version: z.string().exactOptional().meta({ description: onceEnrolled }),
      certificateSerial: z.string().exactOptional().meta({ description: onceEnrolled }),
      previousCertificateSerial: z.string().exactOptional(),
      certificateNotAfter: moment.exactOptional().meta({ description: onceEnrolled }),
      generation: count,
      desired: z.enum(['REPLICATE', 'PAUSE', 'STOP', 'UNINSTALL']),
      lastSeenAt: moment.exactOptional(),
      silentSince: moment.exactOptional(),
      uninstalledAt: moment.exactOptional(),
      givenUpAt: moment.exactOptional(),
      bootId: z.string().exactOptional(),
      formerBootIds: z.array(z.string()).exactOptional(),
      copyToldAt: moment.exactOptional(),
    })
    .meta({ id: 'Agent', description: 'The agent, and what it is to do' }),
)

/** Work that is going on. */
export const activeTask = answerOf<ActiveTask>()(
  z
    .object({
      taskId: idOf<TaskId>('a task'),
      kind: z.enum(taskKinds),
      jobId: jobId.exactOptional(),
      initiatedBy: jobInitiator.exactOptional(),
      startedAt: moment,
      begunAt: moment.exactOptional(),
      stateBefore: z.enum(lifecycleStates).exactOptional(),
    })
    .meta({ id: 'ActiveTask', description: 'The one piece of work that is going on for a server' }),
)
