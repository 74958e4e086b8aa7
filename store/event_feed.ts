/**
 * The events of all servers in one order, without gaps, so that a reader who knows the last position it has seen misses nothing and gets nothing
 * twice. Writers need no lock: a position is taken by creating its entry, and one event that two writers have put at two positions counts where the
 * event itself says. A reader who finds an event that says nothing yet says it for the writer, who may have died.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { RelayedEvent } from '../domain/server_event.ts'
import type { Store } from './store.ts'
import { encodeCursor } from './paging.ts'
import { RevisionConflictError } from './store.ts'

/** The id of an event item: its sequence, so that ids sort as events came. */
export function eventItemId(sequence: number): string {
  return String(sequence).padStart(12, '0')
}

/** The id of a place in the feed. */
export function placeId(position: number): string {
  return String(position).padStart(15, '0')
}

/** An event with its place and its server. */
export interface PlacedEvent {
  position: number
  sourceServerId: SourceServerId
  event: RelayedEvent
}

/** The position of the latest event; 0 when there is none. */
export async function feedEnd(store: Store): Promise<number> {
  const { items } = await store.list('eventFeed', { limit: 1, descending: true })
  const last = items[0]
  return last === undefined ? 0 : last.value.position
}

/** Puts a listed event into the feed unless it is there. */
export async function placeInFeed(
  store: Store,
  sourceServerId: SourceServerId,
  sequence: number,
): Promise<void> {
  const key = { parent: sourceServerId, id: eventItemId(sequence) }
  const found = await store.get('serverEvent', key)
  if (found === undefined || found.value.position !== undefined) return
  let position = (await feedEnd(store)) + 1
  for (;;) {
    try {
      await store.create('eventFeed', { id: placeId(position) }, { position, sourceServerId, sequence })
      break
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
      position++
    }
  }
  await claimPlace(store, sourceServerId, sequence, position)
}

/** The event, with its place: `position` where it had none. Undefined when there is no such event. */
async function claimPlace(
  store: Store,
  sourceServerId: SourceServerId,
  sequence: number,
  position: number,
): Promise<RelayedEvent | undefined> {
  const key = { parent: sourceServerId, id: eventItemId(sequence) }
  for (;;) {
    const found = await store.get('serverEvent', key)
    if (found === undefined || found.value.position !== undefined) return found?.value
    try {
      const placed = { ...found.value, position }
      await store.replace('serverEvent', key, found.revision, placed)
      return placed
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }
}

/** Up to `limit` places after `after`, in order; events of deleted servers are left out. `last` is where to go on. */
export async function readFeed(
  store: Store,
  after: number,
  limit: number,
): Promise<{ events: PlacedEvent[]; last: number; isEnd: boolean }> {
  const page = await store.list('eventFeed', { limit, cursor: encodeCursor(placeId(after)) })
  const found = await Promise.all(
    page.items.map(async ({ value: { position, sourceServerId, sequence } }) => {
      const event = await claimPlace(store, sourceServerId, sequence, position)
      return event?.position === position ? [{ position, sourceServerId, event }] : []
    }),
  )
  const last = page.items.at(-1)?.value.position ?? after
  return { events: found.flat(), last, isEnd: page.cursor === undefined }
}
