/**
 * Forgetting old events. Those of a server stay as long as it does: they say who approved what. What goes is their place in the stream of all servers,
 * and events of servers that are gone.
 * @module
 */
import type { Bench } from './bench.ts'
import type { FeedEntry } from '../domain/server_event.ts'
import { eventItemId, feedEnd, placeId } from '../store/event_feed.ts'

/** For so long a reader of the stream may stay away without missing anything. */
const keptMs = 30 * 86_400_000

const placesPerPage = 500

/** Removes places that are older than {@link keptMs}. The last place stays, as it says where the next one is. */
export async function sweepEvents({ store, clock }: Pick<Bench, 'store' | 'clock'>): Promise<void> {
  const before = new Date(clock().getTime() - keptMs).toISOString()
  const end = await feedEnd(store)
  for (;;) {
    const { items } = await store.list('eventFeed', { limit: placesPerPage })
    for (const { value } of items) {
      if (value.position >= end || !(await forgetPlace(store, value, before))) return
    }
    if (items.length === 0) return
  }
}

/** Whether the place was old enough to go. Times rise with positions but for seconds: the first that stays ends the sweep. */
async function forgetPlace(
  store: Bench['store'],
  { position, sourceServerId, sequence }: FeedEntry,
  before: string,
): Promise<boolean> {
  const key = { parent: sourceServerId, id: eventItemId(sequence) }
  const event = await store.get('serverEvent', key)
  if (event !== undefined && event.value.at >= before) return false
  const isOrphan = event !== undefined && (await store.get('server', { id: sourceServerId })) === undefined
  if (isOrphan) await store.remove('serverEvent', key)
  await store.remove('eventFeed', { id: placeId(position) })
  return true
}
