/**
 * Looking after staging volumes: one that something other than Rehost removed or cut no longer is the copy of its disk, so another one is
 * made and the disk is copied again. Until it is seen nothing launched can hold it: a snapshot of a damaged volume is refused.
 * @module
 */
import type { LostVolume } from '../domain/staging.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Bench } from './bench.ts'
import { errorMessage } from '../domain/errors.ts'
import { hasStagingArea, withLostVolumes } from '../domain/staging.ts'
import { changeServer, now } from './bench.ts'
import { listAll } from '../store/listing.ts'

/** The volumes of `server` that are damaged or gone. */
export async function findLostVolumes(
  { cloud }: Pick<Bench, 'cloud'>,
  server: SourceServer,
): Promise<LostVolume[]> {
  const lost: LostVolume[] = []
  for (const { volumeId } of server.disks) {
    if (volumeId === undefined) continue
    const volume = await cloud.describeVolume(volumeId)
    if (volume === undefined)
      lost.push({ volumeId, reason: `the ${cloud.name} cloud does not know it any more` })
    else if (volume.state === 'DAMAGED')
      lost.push({ volumeId, reason: volume.stateReason ?? 'and the cloud does not say why' })
  }
  return lost
}

/** Looks at the volumes of every server once. Trouble with one server does not keep the others from being looked at. */
export async function watchVolumes(bench: Bench): Promise<void> {
  for (const server of await listAll(bench.store, 'server')) {
    // Work that goes on finds out by itself; when it has ended, this look is soon taken again.
    if (!hasStagingArea(server) || server.activeTask !== undefined) continue
    try {
      const lost = await findLostVolumes(bench, server)
      if (lost.length === 0) continue
      const { sourceServerId } = server
      const names = lost.map(({ volumeId, reason }) => `${volumeId} (${reason})`).join(', ')
      bench.log.error({ sourceServerId }, `Volumes of ${sourceServerId} are lost: ${names}`)
      await changeServer(bench, sourceServerId, (current) => withLostVolumes(current, lost, now(bench)))
    } catch (error) {
      bench.log.error(
        { sourceServerId: server.sourceServerId, err: error },
        `Cannot look after the volumes of ${server.sourceServerId}: ${errorMessage(error)}`,
      )
    }
  }
}
