/**
 * Servers in the situations that tests lead them to, as agents and workers leave them.
 * @module
 */
import type { SourceServer } from '../../../domain/source_server.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { completeCutover } from '../../../domain/cutover.ts'
import { newId } from '../../../domain/ids.ts'
import { enrolServer, putServer } from '../../unit/gateway/callers.ts'

/** A server whose replica is up to date. */
export async function readyServer(gateway: TestGateway, hostname: string): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway, hostname)
  return putServer(gateway, sourceServerId, ({ activeTask: _done, ...known }) => ({
    ...known,
    lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
    replication: {
      ...known.replication,
      state: 'CONTINUOUS',
      replicationServerId: 'i-00000000000000001' as never,
    },
    agent: { ...known.agent, lastSeenAt: gateway.now().toISOString() },
    disks: known.disks.map((disk) => ({
      ...disk,
      replicatedBytes: disk.sizeBytes,
      volumeId: 'vol-00000000000000001' as never,
      devicePath: '/x',
    })),
  }))
}

/** The server as a worker leaves it when the launch that goes on is done. */
export function finishLaunch(
  gateway: TestGateway,
  id: string,
  purpose: 'TEST' | 'CUTOVER',
): Promise<SourceServer> {
  return putServer(gateway, id, ({ activeTask, ...known }) => ({
    ...known,
    launchedInstance: {
      machineId: newId('machine'),
      imageId: newId('image'),
      snapshotIds: [],
      jobId: activeTask?.jobId as never,
      purpose,
      launchedAt: gateway.now().toISOString(),
      firstBoot: 'SUCCEEDED',
      endpoints: [{ guestPort: 80, host: '127.0.0.1', port: 40_080 }],
    },
  }))
}

/** The server with its cutover completed and its work done. */
export function finishCutover(gateway: TestGateway, id: string): Promise<SourceServer> {
  const at = gateway.now().toISOString()
  return putServer(gateway, id, ({ activeTask: _over, ...known }) => completeCutover(known, at, at))
}

/** The server with its work done. */
export const finishWork = (gateway: TestGateway, id: string): Promise<SourceServer> =>
  putServer(gateway, id, ({ activeTask: _over, ...known }) => known)
