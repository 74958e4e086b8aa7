/**
 * Templates: what new servers begin with.
 * @module
 */
import type { LaunchTemplateId, ReplicationTemplateId } from './ids.ts'
import type { LaunchConfiguration, ReplicationConfiguration, StagingChoices } from './launch.ts'
import type { PostLaunchAction, PostLaunchSettings } from './post_launch_action.ts'
import type { SourceServer } from './source_server.ts'

/** For replication. */
export interface ReplicationTemplate {
  replicationTemplateId: ReplicationTemplateId
  createdAt: string
  tags: Record<string, string>
  choices: Required<Omit<StagingChoices, 'name'>>
  useDedicatedReplicationServer: boolean
  bandwidthThrottlingMbps: number
  stagingAreaTags: Record<string, string>
}

/** For launches. */
export interface LaunchTemplate {
  launchTemplateId: LaunchTemplateId
  createdAt: string
  tags: Record<string, string>
  launchDisposition: LaunchConfiguration['launchDisposition']
  rightSizing: LaunchConfiguration['rightSizing']
  bootMode: LaunchConfiguration['bootMode']
  copyTags: boolean
  osByol: boolean
  postLaunchActions?: PostLaunchSettings
  /** Post-launch actions that new servers take over. */
  actions?: PostLaunchAction[]
}

/** The template that counts: the newest. Undefined when there is none. */
export function newest<T extends { createdAt: string }>(templates: readonly T[]): T | undefined {
  return templates.reduce<T | undefined>(
    (best, one) => (best === undefined || one.createdAt > best.createdAt ? one : best),
    undefined,
  )
}

/** What replication of a new server begins with. */
export function replicationOf(
  known: ReplicationConfiguration,
  { choices, useDedicatedReplicationServer, bandwidthThrottlingMbps, stagingAreaTags }: ReplicationTemplate,
): ReplicationConfiguration {
  return {
    ...known,
    stagingChoices: choices,
    useDedicatedReplicationServer,
    bandwidthThrottlingMbps,
    stagingAreaTags,
  }
}

/** `server`, which is new, as the templates say. Pure. */
export function withTemplates(
  server: SourceServer,
  {
    replication,
    launch,
  }: { replication: ReplicationTemplate | undefined; launch: LaunchTemplate | undefined },
): SourceServer {
  const { replicationConfiguration, launchConfiguration } = server
  return {
    ...server,
    ...(replication === undefined
      ? {}
      : { replicationConfiguration: replicationOf(replicationConfiguration, replication) }),
    ...(launch === undefined
      ? {}
      : {
          launchConfiguration: {
            ...launchConfiguration,
            launchDisposition: launch.launchDisposition,
            rightSizing: launch.rightSizing,
            bootMode: launch.bootMode,
            copyTags: launch.copyTags,
            osByol: launch.osByol,
            ...(launch.postLaunchActions === undefined
              ? {}
              : { postLaunchActions: launch.postLaunchActions }),
          },
          ...actionsFor(server, launch),
        }),
  }
}

/** The actions of a template that are for the system that the server has. */
function actionsFor(
  { sourceProperties }: SourceServer,
  { actions = [] }: LaunchTemplate,
): Pick<SourceServer, 'postLaunch'> {
  const { family } = sourceProperties.os
  const own = actions.flatMap(({ operatingSystem, ...action }) =>
    operatingSystem === undefined || operatingSystem === family ? [action] : [],
  )
  return own.length === 0 ? {} : { postLaunch: { actions: own } }
}
