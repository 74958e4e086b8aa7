/**
 * Places among the events of all servers, and what stands behind one: an event makes one envelope or two, so a place names the event and which of its
 * envelopes. Whoever comes back with the place of the first one gets the second, also when both were not wanted at once.
 * @module
 */
import type { EventEnvelope, EventOrigin } from '../domain/event_envelope.ts'
import type { EventPattern } from '../domain/event_pattern.ts'
import type { Store } from '../store/store.ts'
import { envelopesOf } from '../domain/event_envelope.ts'
import { matchesPattern } from '../domain/event_pattern.ts'
import { InvalidInputError } from '../domain/errors.ts'
import { feedEnd, readFeed } from '../store/event_feed.ts'

/** A place: an event, and which of its envelopes. */
export interface StreamPlace {
  position: number
  part: number
}

/** As a part: behind all envelopes of an event. */
export const lastPart = 9

/** An envelope with its place. */
export interface PlacedEnvelope {
  place: StreamPlace
  envelope: EventEnvelope
}

/** Envelopes, in order, and where to go on. */
export interface FoundEnvelopes {
  found: PlacedEnvelope[]
  next: StreamPlace
  /** Nothing is behind `next` now. */
  isEnd: boolean
}

/** Where events are read, and whose words they have. */
export interface EventSource {
  store: Store
  origin: EventOrigin
}

/** A place as it is written: `17.1`. */
export function writePlace({ position, part }: StreamPlace): string {
  return `${position}.${part}`
}

/** The place that `text` names; `17` is before all envelopes of the next event. @throws InvalidInputError naming `field`. */
export function readPlace(text: string, field: string): StreamPlace {
  const [, position, part = lastPart] = /^(\d{1,15})(?:\.(\d))?$/.exec(text) ?? []
  if (position === undefined)
    throw new InvalidInputError(
      field,
      `Cannot read ${field} ${text.slice(0, 40)}: give the id of an event as it was sent, or 0`,
    )
  return { position: Number(position), part: Number(part) }
}

/** @throws InvalidInputError naming `field` for a place that no event has reached: whoever goes on there would hear nothing for as long. */
export async function requireReached(
  store: Store,
  { position, part }: StreamPlace,
  field: string,
): Promise<void> {
  const end = await feedEnd(store)
  if (position <= end) return
  throw new InvalidInputError(
    field,
    `${field} ${writePlace({ position, part })} is ahead of all events, the last of which is ${end}: it is from another installation, or from before this one was restored; ` +
      'begin with 0',
  )
}

/** The envelopes after `after` that `pattern` wants, of up to `places` events. `next` is where to go on. */
export async function readEnvelopes(
  { store, origin }: EventSource,
  after: StreamPlace,
  pattern: EventPattern,
  places: number,
): Promise<FoundEnvelopes> {
  // The event itself is read again while it may have another envelope after the one that was seen.
  const again = after.position > 0 && after.part < lastPart ? 1 : 0
  const { events, last, isEnd } = await readFeed(store, after.position - again, places + again)
  const found = events.flatMap(({ position, sourceServerId, event }) =>
    envelopesOf(origin, sourceServerId, event)
      .map((envelope, part) => ({ place: { position, part }, envelope }))
      .filter(({ place }) => position > after.position || place.part > after.part)
      .filter(({ envelope }) => matchesPattern(pattern, { ...envelope })),
  )
  // As far as the event that was read again, too: it has no more than what was found.
  const next = last >= after.position ? { position: last, part: lastPart } : after
  return { found, next, isEnd }
}

/** Events that one page looks at: each is read from the store, and a pattern may want none of them. */
export const maxLookedAt = 1000

/** Events that are read from the store at the same time. */
const mostAtOnce = 250

/**
 * A page of up to `limit` envelopes that `pattern` wants, and never more. It has fewer at the end, and where {@link maxLookedAt} events were looked at.
 * An event with two envelopes may be on two pages: `next` is behind the last envelope given.
 */
export async function readPage(
  source: EventSource,
  after: StreamPlace,
  pattern: EventPattern,
  limit: number,
): Promise<FoundEnvelopes> {
  const found: PlacedEnvelope[] = []
  let next = after
  // Most events are wanted and make one envelope, unless it turns out otherwise.
  let places = Math.min(limit, mostAtOnce)
  for (let left = maxLookedAt; left > 0;) {
    const read = await readEnvelopes(source, next, pattern, Math.min(places, left))
    found.push(...read.found)
    const last = found[limit - 1]
    // The rest is read again by whoever asks for the next page.
    if (found.length > limit && last !== undefined)
      return { found: found.slice(0, limit), next: last.place, isEnd: false }
    next = read.next
    if (read.isEnd || found.length === limit) return { found, next, isEnd: read.isEnd }
    left -= places
    places = Math.min(places * 2, mostAtOnce)
  }
  return { found, next, isEnd: false }
}
