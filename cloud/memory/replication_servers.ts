/**
 * Replication servers of the memory cloud: records, no processes.
 * @module
 */
import { NotFoundError } from '../../domain/errors.ts'
import type { ReplicationServerId } from '../../domain/ids.ts'
import type { CloudReplicationServer, ReplicationServerSpec } from '../provider.ts'
import type { MemoryReplicationServer } from './cloud.ts'
import type { MemoryContext } from './context.ts'

/** Starts it or finds it running. */
export function createReplicationServer(
  { config, cloud }: MemoryContext,
  spec: ReplicationServerSpec,
): CloudReplicationServer {
  const id = spec.replicationServerId
  const server: MemoryReplicationServer = cloud.replicationServers.get(id) ?? {
    replicationServerId: id,
    state: 'RUNNING',
    address: config.publicHost,
    port: config.replicationPort,
    tags: spec.tags,
  }
  server.state = 'RUNNING'
  cloud.replicationServers.set(id, server)
  return view(server)
}

/** The replication server, or undefined when there is none. */
export function describeReplicationServer(
  { cloud }: MemoryContext,
  id: ReplicationServerId,
): CloudReplicationServer | undefined {
  const server = cloud.replicationServers.get(id)
  return server && view(server)
}

/** The record of a replication server. @throws NotFoundError. */
export function findReplicationServer(
  { cloud }: MemoryContext,
  id: ReplicationServerId,
): MemoryReplicationServer {
  const server = cloud.replicationServers.get(id)
  if (server === undefined) throw new NotFoundError('replication server', id)
  return server
}

/** Removes it; volumes attached to it are free from then on. */
export function removeReplicationServer({ cloud }: MemoryContext, id: ReplicationServerId): void {
  cloud.replicationServers.delete(id)
  for (const volume of cloud.volumes.values()) if (volume.attachedTo === id) delete volume.attachedTo
}

function view(server: MemoryReplicationServer): CloudReplicationServer {
  const { replicationServerId, state, address, port } = server
  return { replicationServerId, state, address, port }
}
