/**
 * The relay: moves events from servers' outboxes to where they are listed, in order, none lost and none twice.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Bench } from './bench.ts'
import { RevisionConflictError } from '../store/store.ts'
import { NotFoundError } from '../domain/errors.ts'
import { changeServer } from './bench.ts'

/** The id of an event item: its sequence, so that ids sort as events came. */
export function eventItemId(sequence: number): string {
  return String(sequence).padStart(12, '0')
}

/**
 * Relays what waits in one server's outbox. First the events are written where they are listed (again, if a relay died in between: their
 * ids come from their sequence), then they leave the outbox.
 */
export async function relayServer(
  bench: Pick<Bench, 'store' | 'changes'>,
  server: SourceServer,
): Promise<void> {
  const { sourceServerId, outbox } = server
  const last = outbox.at(-1)
  if (last === undefined) return
  for (const event of outbox) {
    try {
      await bench.store.create(
        'serverEvent',
        { parent: sourceServerId, id: eventItemId(event.sequence) },
        event,
      )
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }
  await changeServer(bench, sourceServerId, (current) => {
    const waiting = current.outbox.filter(({ sequence }) => sequence > last.sequence)
    return waiting.length === current.outbox.length ? undefined : { ...current, outbox: waiting }
  })
}

/** Relays one server by id; a server that has been deleted has nothing to relay. */
export async function relayById(bench: Pick<Bench, 'store' | 'changes'>, id: SourceServerId): Promise<void> {
  const found = await bench.store.get('server', { id })
  if (found === undefined) return
  try {
    await relayServer(bench, found.value)
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
}
