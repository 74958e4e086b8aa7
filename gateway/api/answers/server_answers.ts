/**
 * Servers as they are answered.
 * @module
 */
import type { Decision } from '../../../domain/actions.ts'
import type { ApplicationId, ImageId, MachineId, SnapshotId, SourceServerId } from '../../../domain/ids.ts'
import type { LaunchedInstance } from '../../../domain/launch.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { AnsweredAgent } from './server_parts.ts'
import { z } from 'zod'
import { actionSlugs } from '../../actions.ts'
import { postLaunch } from './action_parts.ts'
import { answerOf, count, idOf, listOf, moment, pageOf } from './answer_schema.ts'
import { launchConfiguration, replicationConfiguration } from './configuration_answers.ts'
import { relayedEvent } from './event_answers.ts'
import { keptCopyForecast, launchTimes } from './forecast_parts.ts'
import { initialReplication } from './record_answers.ts'
import { consistencyRequest, replication, telemetry } from './replication_parts.ts'
import {
  activeTask,
  agent,
  jobId,
  lifecycle,
  offeredDisk,
  replicatedDisk,
  sourceProperties,
} from './server_parts.ts'

const endpoints = z.array(z.object({ guestPort: count, host: z.string(), port: count }))

const launchedInstance = answerOf<LaunchedInstance>()(
  z
    .object({
      machineId: idOf<MachineId>('a machine'),
      imageId: idOf<ImageId>('an image'),
      snapshotIds: z.array(idOf<SnapshotId>('a snapshot')),
      jobId,
      purpose: z.enum(['TEST', 'CUTOVER']),
      launchedAt: moment,
      firstBoot: z.enum(['WAITING', 'SUCCEEDED', 'UNKNOWN', 'STOPPED']),
      endpoints: endpoints.exactOptional(),
      description: z.string().exactOptional(),
    })
    .meta({ id: 'LaunchedInstance', description: 'The machine last launched for a server' }),
)

/** What a server's item has of its events before they are listed is what relaying needs, and no answer. */
const storedServer = answerOf<
  Omit<SourceServer, 'eventSequence' | 'outbox' | 'agent'> & { agent: AnsweredAgent }
>()(
  z.object({
    sourceServerId: idOf<SourceServerId>('a source server'),
    userProvidedId: z.string().exactOptional(),
    fqdnForActionFramework: z.string().exactOptional(),
    applicationId: idOf<ApplicationId>('an application').exactOptional(),
    isArchived: z.boolean(),
    tags: z.record(z.string(), z.string()),
    createdAt: moment,
    sourceProperties,
    lifecycle,
    replication,
    disks: z.array(replicatedDisk),
    offeredDisks: z.array(offeredDisk).exactOptional(),
    agent,
    replicationConfiguration,
    launchConfiguration,
    consistencyRequest: consistencyRequest.exactOptional(),
    activeTask: activeTask.exactOptional(),
    launchedInstance: launchedInstance.exactOptional(),
    postLaunch: postLaunch.exactOptional(),
    initialReplication: initialReplication.exactOptional(),
    copyForecast: keptCopyForecast.exactOptional(),
    launchTimes: launchTimes.exactOptional(),
  }),
)

/** A server: the record, the live figures, and where the launched machine answers. */
export const server = storedServer
  .extend({
    telemetry: telemetry.exactOptional(),
    endpoints: endpoints.exactOptional(),
  })
  .meta({ id: 'Server', description: 'A source server with its live figures' })
export type ServerView = z.infer<typeof server>

/** Servers, page by page. */
export const serverPage = pageOf(server)
export type ServerPage = z.infer<typeof serverPage>

/** The events of a server. */
export const serverEvents = listOf(relayedEvent).extend({ nextToken: z.string().exactOptional() })
export type ServerEvents = z.infer<typeof serverEvents>

const action = z.enum(Object.values(actionSlugs)).meta({ id: 'ServerAction' })

/** What can be done to a server. */
export const decidedActions = listOf(
  answerOf<Decision & { action: z.infer<typeof action> }>()(
    z
      .discriminatedUnion('possible', [
        z.object({ action, possible: z.literal(true) }),
        z.object({ action, possible: z.literal(false), because: z.string() }),
      ])
      .meta({ id: 'DecidedAction', description: 'Whether an action can be done now, and why not otherwise' }),
  ),
)
export type DecidedActions = z.infer<typeof decidedActions>
