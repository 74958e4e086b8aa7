/**
 * The staging area of a server: when its raising begins, when it stands, and when it has to be raised again.
 * @module
 */
import type { SourceServer } from './source_server.ts'
import { withWork } from './work.ts'

/** A newly enrolled server with the work that raises its staging area; also what a retry begins. */
export function withStaging(server: SourceServer, at: string): SourceServer {
  const { error: _over, ...replication } = server.replication
  const started = { ...replication, initiation: { ...replication.initiation, startedAt: at } }
  return withWork({ ...server, replication: started }, 'STAGING', at, server.lifecycle.state)
}

/** Whether every disk has its staging volume attached to a replication server. */
export function hasStagingArea(server: SourceServer): boolean {
  return (
    server.replication.replicationServerId !== undefined &&
    server.disks.every((disk) => disk.volumeId !== undefined && disk.devicePath !== undefined)
  )
}
