/**
 * Writing a source server from the gateway: one conditional write, then the notice, then the work it names is set going.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Versioned } from '../store/store.ts'
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { mutate } from '../store/mutate.ts'
import { RevisionConflictError } from '../store/store.ts'
import { withDeadline } from './deadline.ts'

/** What a change needs. */
export type ChangeServices = Pick<Services, 'store' | 'changes' | 'fleet' | 'log'>

/**
 * Changes a server as `mutate` does and says so to whoever listens. `known`, when given, is tried first and saves a read.
 * @throws NotFoundError; whatever `change` throws.
 */
export async function changeServer(
  services: ChangeServices,
  id: SourceServerId,
  change: (server: SourceServer) => SourceServer,
  known?: Versioned<SourceServer>,
): Promise<SourceServer> {
  const written =
    (known && (await tryOnce(services, known, change))) ?? (await readAndChange(services, id, change))
  if (written.isChanged) await announce(services, written.server)
  return written.server
}

interface Written {
  server: SourceServer
  isChanged: boolean
}

async function tryOnce(
  { store }: ChangeServices,
  known: Versioned<SourceServer>,
  change: (server: SourceServer) => SourceServer,
): Promise<Written | undefined> {
  const next = change(known.value)
  if (next === known.value) return { server: next, isChanged: false }
  try {
    await store.replace('server', { id: next.sourceServerId }, known.revision, next)
    return { server: next, isChanged: true }
  } catch (error) {
    // Somebody was faster: read it again and change that.
    if (error instanceof RevisionConflictError) return undefined
    throw error
  }
}

async function readAndChange(
  { store }: ChangeServices,
  id: SourceServerId,
  change: (server: SourceServer) => SourceServer,
): Promise<Written> {
  let isChanged = false
  const { value } = await mutate(store, 'server', { id }, (server) => {
    const next = change(server)
    isChanged = next !== server
    return next
  })
  return { server: value, isChanged }
}

/** Tells pages and the relay. A notice that cannot be sent costs them a second; it must not fail what was written. */
export async function announce(services: ChangeServices, server: SourceServer): Promise<void> {
  services.fleet.note(server)
  try {
    await withDeadline(services.changes.publish({ kind: 'server', id: server.sourceServerId }), 1000, 'Redis')
  } catch (error) {
    services.log.warn(
      { sourceServerId: server.sourceServerId, error: errorMessage(error) },
      'Cannot publish a change notice',
    )
  }
}
