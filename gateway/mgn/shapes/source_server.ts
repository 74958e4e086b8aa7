/**
 * A source server as MGN shows it.
 * @module
 */
import type { LifecycleMoment, ReplicatedDisk, SourceServer } from '../../../domain/source_server.ts'
import type { SourceProperties } from '../../../domain/source_properties.ts'
import { hasNoAgentYet } from '../../../domain/source_server.ts'
import type { ServerTelemetry } from '../../../wire/telemetry.ts'
import type { Account } from '../account.ts'
import { diskProgress, lagMs, liveState } from '../../../views/figures.ts'
import { arnOf } from '../account.ts'
import { mgnDuration, mgnTime, mgnTimeOf } from './times.ts'

/** What a server is shown with. */
export interface ServerFacts {
  account: Account
  figures: ServerTelemetry | undefined
  now: Date
}

/** Differences below this are the grain of measuring: the replica is current. */
const currentMs = 2000

/** The shape SourceServer. */
export function mgnSourceServer(server: SourceServer, facts: ServerFacts): object {
  const { sourceServerId, launchedInstance } = server
  return {
    sourceServerID: sourceServerId,
    arn: arnOf(facts.account, 'source-server', sourceServerId),
    isArchived: server.isArchived,
    tags: server.tags,
    ...(launchedInstance === undefined
      ? {}
      : {
          launchedInstance: {
            ec2InstanceID: launchedInstance.machineId,
            jobID: launchedInstance.jobId,
            firstBoot: launchedInstance.firstBoot,
          },
        }),
    dataReplicationInfo: dataReplicationInfo(server, facts),
    lifeCycle: lifeCycle(server, facts.now),
    sourceProperties: hasNoAgentYet(server)
      ? awaitedProperties(server)
      : sourceProperties(server.sourceProperties),
    replicationType: 'AGENT_BASED',
    connectorAction: {},
    ...(server.fqdnForActionFramework === undefined
      ? {}
      : { fqdnForActionFramework: server.fqdnForActionFramework }),
    ...(server.userProvidedId === undefined ? {} : { userProvidedID: server.userProvidedId }),
    ...(server.applicationId === undefined ? {} : { applicationID: server.applicationId }),
  }
}

function dataReplicationInfo(server: SourceServer, { figures, now }: ServerFacts): object {
  const { replication, lifecycle } = server
  const isOver = lifecycle.state === 'CUTOVER' || lifecycle.state === 'DISCONNECTED'
  // Figures may know of no lag for a moment in which the record does: a server that can be launched always has one.
  const lag = lagMs(server, figures, now) ?? lagMs(server, undefined, now)
  const { initiation, error } = replication
  return {
    dataReplicationState: liveState(server, figures),
    ...(lag === null ? {} : { lagDuration: mgnDuration(lag < currentMs ? 0 : lag) }),
    ...mgnTimeOf('etaDateTime', isOver ? undefined : replication.etaDateTime),
    ...mgnTimeOf('lastSnapshotDateTime', replication.lastSnapshotAt),
    dataReplicationInitiation: {
      ...mgnTimeOf('startDateTime', initiation.startedAt),
      ...mgnTimeOf('nextAttemptDateTime', initiation.nextAttemptAt),
      steps: initiation.steps,
    },
    ...(error === undefined
      ? {}
      : { dataReplicationError: { error: error.error, rawError: `${error.rawError}. ${error.whatToDo}` } }),
    replicatedDisks: server.disks.map((disk) => replicatedDisk(server, disk, { figures, isOver })),
  }
}

function replicatedDisk(
  server: SourceServer,
  disk: ReplicatedDisk,
  { figures, isOver }: { figures: ServerTelemetry | undefined; isOver: boolean },
): object {
  const live = figures?.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
  const state = liveState(server, figures)
  const { doneBytes } = diskProgress(disk, state, figures)
  const isComparing = state === 'RESCAN'
  return {
    deviceName: disk.deviceName,
    // Once a migration is over nothing is replicated any more, which the service says by a size of nothing.
    totalStorageBytes: isOver ? 0 : disk.sizeBytes,
    replicatedStorageBytes: isComparing ? disk.replicatedBytes : doneBytes,
    rescannedStorageBytes: isComparing ? doneBytes : disk.rescannedBytes,
    backloggedStorageBytes: isOver ? 0 : (live?.backlogBytes ?? disk.backlogBytes),
  }
}

function lifeCycle({ lifecycle }: SourceServer, now: Date): object {
  const { firstByteAt, lastCutover, lastTest } = lifecycle
  const endedAt = lastCutover?.finalized?.apiCallAt
  const until = endedAt === undefined ? now.getTime() : Date.parse(endedAt)
  return {
    addedToServiceDateTime: mgnTime(lifecycle.addedToServiceAt),
    ...mgnTimeOf('firstByteDateTime', firstByteAt),
    ...(firstByteAt === undefined
      ? {}
      : { elapsedReplicationDuration: mgnDuration(until - Date.parse(firstByteAt)) }),
    ...mgnTimeOf('lastSeenByServiceDateTime', lifecycle.lastSeenByServiceAt),
    lastTest: moments(lastTest),
    lastCutover: moments(lastCutover),
    state: lifecycle.state,
  }
}

function moments(
  of: Partial<Record<'initiated' | 'reverted' | 'finalized', LifecycleMoment>> | undefined,
): object {
  const moment = (one: LifecycleMoment | undefined): object =>
    one === undefined
      ? {}
      : {
          apiCallDateTime: mgnTime(one.apiCallAt),
          ...(one.jobId === undefined ? {} : { jobID: one.jobId }),
        }
  return {
    initiated: moment(of?.initiated),
    reverted: moment(of?.reverted),
    finalized: moment(of?.finalized),
  }
}

/** Of a machine that no agent has looked at: the name that an import gave it, if any. */
function awaitedProperties({
  sourceProperties: { lastUpdatedAt },
  fqdnForActionFramework: fqdn,
}: SourceServer): object {
  return {
    lastUpdatedDateTime: mgnTime(lastUpdatedAt),
    identificationHints: fqdn === undefined ? {} : { fqdn },
  }
}

function sourceProperties(source: SourceProperties): object {
  const { identificationHints: hints } = source
  return {
    lastUpdatedDateTime: mgnTime(source.lastUpdatedAt),
    identificationHints: {
      fqdn: hints.fqdn,
      hostname: hints.hostname,
      ...(hints.vmWareUuid === undefined ? {} : { vmWareUuid: hints.vmWareUuid }),
      ...(hints.awsInstanceId === undefined ? {} : { awsInstanceID: hints.awsInstanceId }),
    },
    networkInterfaces: source.networkInterfaces.slice(0, 32).map(({ macAddress, ips, isPrimary }) => ({
      macAddress: macAddress.replaceAll(':', '-').toUpperCase(),
      ips,
      isPrimary,
    })),
    disks: source.disks.map(({ deviceName, sizeBytes }) => ({ deviceName, bytes: sizeBytes })),
    cpus: source.cpus.map(({ cores, modelName }) => ({ cores, modelName })),
    ramBytes: source.ramBytes,
    os: { fullString: source.os.fullString },
  }
}
