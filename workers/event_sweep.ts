/**
 * Forgetting old events. Those of a server stay as long as it does: they say who approved what. What goes is their place in the stream of all servers,
 * and events of servers that are gone.
 * @module
 */
import type { Bench } from './bench.ts'
import type { FeedEntry } from '../domain/server_event.ts'
import { eventItemId, feedEnd, placeId } from '../store/event_feed.ts'
import { keptMs } from './webhooks/sweep.ts'

const placesPerPage = 500

/** Removes places that are older than {@link keptMs}: a reader of the stream may stay away for so long, as a webhook may. The last place stays, as it says where the next one is. */
export async function sweepEvents({ store, clock }: Pick<Bench, 'store' | 'clock'>): Promise<void> {
  const now = clock()
  const before = new Date(now.getTime() - keptMs).toISOString()
  const end = await feedEnd(store)
  let cursor: string | undefined
  do {
    const page = await store.list('eventFeed', {
      limit: placesPerPage,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const { value } of page.items) {
      if (value.position >= end) return
      const keptAt = await forgetPlace(store, value, before)
      // Times rise with positions, but for those of a clock that was ahead: the first other one that stays ends the sweep.
      if (keptAt !== undefined && keptAt <= now.toISOString()) return
    }
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** Removes the place if it is old enough to go; else answers the time of its event. */
async function forgetPlace(
  store: Bench['store'],
  { position, sourceServerId, sequence }: FeedEntry,
  before: string,
): Promise<string | undefined> {
  const key = { parent: sourceServerId, id: eventItemId(sequence) }
  const event = await store.get('serverEvent', key)
  if (event !== undefined && event.value.at >= before) return event.value.at
  const isOrphan = event !== undefined && (await store.get('server', { id: sourceServerId })) === undefined
  if (isOrphan) await store.remove('serverEvent', key)
  await store.remove('eventFeed', { id: placeId(position) })
  return undefined
}
