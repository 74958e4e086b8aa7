/**
 * The staging area of a server: when its raising begins, when it stands, and when it has to be raised again.
 * @module
 */
import type { VolumeId } from './ids.ts'
import type { ReplicatedDisk, SourceServer } from './source_server.ts'
import { dropConsistencyPoint } from './consistency_point.ts'
import { newInitiationSteps } from './initiation.ts'
import { advanceDataReplication } from './replication.ts'
import { withReplicationError, withoutReplicationError } from './replication_error.ts'
import { withEvent, withReplication } from './source_server.ts'
import { withWork } from './work.ts'

/** A newly enrolled server with the work that raises its staging area; also what a retry begins. */
export function withStaging(server: SourceServer, at: string): SourceServer {
  const tried = withoutReplicationError(server, 'The staging area is raised anew', at)
  const initiation = { ...tried.replication.initiation, startedAt: at, steps: newInitiationSteps() }
  const started = { ...tried.replication, initiation }
  return withWork({ ...tried, replication: started }, 'STAGING', at, server.lifecycle.state)
}

/** Whether every disk has its staging volume attached to a replication server; those that are just joining the others do not count. */
export function hasStagingArea(server: SourceServer): boolean {
  return (
    server.replication.replicationServerId !== undefined &&
    server.disks.every(
      (disk) => disk.isJoining === true || (disk.volumeId !== undefined && disk.devicePath !== undefined),
    )
  )
}

/** A volume that no longer holds the copy of its disk. */
export interface LostVolume {
  volumeId: VolumeId
  /** What was found, as a sentence's end. */
  reason: string
}

const whatHappensToLost =
  'Rehost makes a new volume and copies the disk again; find out what changed the staging area, so that it does not happen again'

/** The sentence for a lost volume of `disk`. */
export function lostVolumeInWords(disk: ReplicatedDisk, { volumeId, reason }: LostVolume): string {
  return `The copy of disk ${disk.deviceName} is lost: volume ${volumeId} is damaged, ${reason}`
}

/** A sentence for each disk of `server` whose volume is lost. */
function lossesInWords({ disks }: SourceServer, lost: readonly LostVolume[]): string[] {
  return disks.flatMap((disk) => {
    const loss = lossOf(disk, lost)
    return loss === undefined ? [] : [lostVolumeInWords(disk, loss)]
  })
}

function lossOf(disk: ReplicatedDisk, lost: readonly LostVolume[]): LostVolume | undefined {
  return lost.find(({ volumeId }) => volumeId === disk.volumeId)
}

/** `server` without the volumes that are lost, each loss told; the same object when it names none of them any more. */
export function dropLostVolumes(server: SourceServer, lost: readonly LostVolume[], at: string): SourceServer {
  const losses = lossesInWords(server, lost)
  if (losses.length === 0) return server
  let next = dropConsistencyPoint(server, 'the copy of a disk was lost', at)
  for (const loss of losses) {
    const message = `${loss}. ${whatHappensToLost}`
    next = withEvent(next, at, { type: 'REPLICATOR', level: 'ERROR', message })
  }
  const { lastConsistentAt: _past, ...replication } = next.replication
  const disks = next.disks.map((disk) => (lossOf(disk, lost) === undefined ? disk : withoutVolume(disk)))
  return { ...next, replication, disks }
}

function withoutVolume({ volumeId: _lost, devicePath: _path, ...disk }: ReplicatedDisk): ReplicatedDisk {
  return { ...disk, replicatedBytes: 0, rescannedBytes: 0, backlogBytes: 0 }
}

/**
 * `server` without the volumes that are lost, and with the work that makes new ones: their disks are copied again from the beginning. The
 * server's other volumes stay. Unchanged when it names none of them any more or other work goes on, which has to end first.
 */
export function withLostVolumes(server: SourceServer, lost: readonly LostVolume[], at: string): SourceServer {
  if (server.activeTask !== undefined) return server
  const dropped = dropLostVolumes(server, lost, at)
  if (dropped === server) return server
  // Nobody wants it copied now; the start of replication makes what is missing.
  if (dropped.lifecycle.state === 'STOPPED') return dropped
  const isStallable = advanceDataReplication(dropped.replication.state, 'STALL').ok
  const begun = withStaging(isStallable ? withReplication(dropped, 'STALL', at) : dropped, at)
  const rawError = lossesInWords(server, lost).join('; ')
  const error = { error: 'FAILED_TO_ATTACH_STAGING_DISKS', rawError, whatToDo: whatHappensToLost } as const
  // Each loss is told already, with what happens.
  return withReplicationError(begun, error, at, {
    message: 'Replication waits for the volumes that were lost',
  })
}
