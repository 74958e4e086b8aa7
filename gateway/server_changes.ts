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
export type ChangeServices = Pick<Services, 'store' | 'changes' | 'fleet' | 'held' | 'log'>

/**
 * Changes a server as `mutate` does and says so to whoever listens. `known`, when given, is tried first and saves a read; where it has nothing to change, nothing
 * is asked of the store at all.
 * @throws NotFoundError; whatever `change` throws.
 */
export async function changeServer(
  services: ChangeServices,
  id: SourceServerId,
  change: (server: SourceServer) => SourceServer,
  known?: Versioned<SourceServer>,
): Promise<SourceServer> {
  const next = known && changed(known.value, change)
  if (next !== undefined && next === known?.value) return next
  const { servers } = services.held
  const begun = servers.begin(id)
  let written: Written
  try {
    written =
      (known && next && (await tryOnce(services, known, next))) ?? (await readAndChange(services, id, change))
  } catch (error) {
    servers.end(id, begun, undefined)
    throw error
  }
  servers.end(id, begun, written.found)
  if (written.isChanged) await announce(services, written.found)
  return written.found.value
}

interface Written {
  found: Versioned<SourceServer>
  isChanged: boolean
}

/** Undefined where it is refused: what is known may be a moment old. Only what is stored now is refused, with the same words. */
function changed(
  known: SourceServer,
  change: (server: SourceServer) => SourceServer,
): SourceServer | undefined {
  try {
    return change(known)
  } catch {
    return undefined
  }
}

async function tryOnce(
  { store }: ChangeServices,
  known: Versioned<SourceServer>,
  next: SourceServer,
): Promise<Written | undefined> {
  try {
    const revision = await store.replace('server', { id: next.sourceServerId }, known.revision, next)
    return { found: { value: next, revision }, isChanged: true }
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
  const found = await mutate(store, 'server', { id }, (server) => {
    const next = change(server)
    isChanged = next !== server
    return next
  })
  return { found, isChanged }
}

/** Tells pages and the relay. A notice that cannot be sent costs them a second; it must not fail what was written. */
export async function announce(
  services: ChangeServices,
  { value: server, revision }: Versioned<SourceServer>,
): Promise<void> {
  services.fleet.note(server)
  const hasEvents = server.outbox.length > 0
  const notice = { kind: 'server', id: server.sourceServerId, revision, hasEvents } as const
  try {
    await withDeadline(services.changes.publish(notice), 1000, 'Redis')
  } catch (error) {
    services.log.warn(
      { sourceServerId: server.sourceServerId, error: errorMessage(error) },
      'Cannot publish a change notice',
    )
  }
}
