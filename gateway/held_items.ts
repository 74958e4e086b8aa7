/**
 * Items held in memory for callers that come thousands of times a second with nothing new. What is held may be a moment old; whoever writes does so
 * under the revision that was read, so nothing is ever decided against a later write. A change that is told drops what is held, and while notices
 * cannot come nothing that is held is given. One that was never sent is seen when the time is over, or at the next write.
 *
 * Only large fleets are held: of a small one every call reads, and sees every change at once.
 * @module
 */
import type { Entities, Kind, Store, Versioned } from '../store/store.ts'
import type { ChangeFeed } from './change_feed.ts'

/** Fewer servers heard in {@link holdMs} than this are read each time. */
const leastItems = 200

/** How old what is held may be: longer than from one write of a heartbeat to the next, which finds out what was missed. */
const holdMs = 15_000

/** Of replication servers nobody sends notices, and there are few. */
const holdQuietMs = 1000

/** A thousand heartbeats a second want the same replication server: they don't wait for a store that is slow to answer for a moment. */
const holdQuietWhileReadMs = 3000

interface Held<K extends Kind> {
  found: Versioned<Entities[K]>
  atMs: number
  unbroken: symbol | undefined
}

/** A read or a write that is under way, since when notices have come without a break. */
export interface Begun<K extends Kind> {
  readonly unbroken: symbol | undefined
  /** Of a read: whoever comes before anything overtakes it takes part in it. */
  reading?: Promise<Versioned<Entities[K]> | undefined>
}

/** What {@link HeldItems} work with. */
export interface HeldItemsContext<K extends Kind> {
  store: Store
  kind: K
  feed: Pick<ChangeFeed, 'unbroken'>
  clock: () => Date
  holdMs: number
  /** For how much longer what is held is still given while it is read anew. */
  whileReadMs: number
  /** Whether holding is worth it, given how many items are held. */
  isWorthIt(heldItems: number): boolean
}

/** Held items of one kind without parent. */
export class HeldItems<K extends Kind> {
  readonly #context: HeldItemsContext<K>
  readonly #held = new Map<string, Held<K>>()
  /** What began last with an item, unless the item was changed or something else ended since. */
  readonly #begun = new Map<string, Begun<K>>()
  #sweptAtMs = 0

  constructor(context: HeldItemsContext<K>) {
    this.#context = context
  }

  /** Items that are held. */
  get size(): number {
    return this.#held.size
  }

  /** Whether callers get what is held. */
  get isLarge(): boolean {
    return this.#context.isWorthIt(this.#held.size)
  }

  /** The item, held or read; undefined when there is none. */
  async read(id: string): Promise<Versioned<Entities[K]> | undefined> {
    if (!this.isLarge) return this.readAnew(id)
    const { holdMs, whileReadMs } = this.#context
    const held = this.#held.get(id)
    if (held !== undefined && this.#isGood(held, holdMs)) return held.found
    // Each by itself, many at the same moment would overtake one another, and none of what they read would be held.
    const reading = this.#begun.get(id)?.reading ?? this.readAnew(id)
    if (held === undefined || !this.#isGood(held, holdMs + whileReadMs)) return reading
    // A read that fails leaves nothing held: whoever asks next reads for itself, and is told.
    reading.catch(() => undefined)
    return held.found
  }

  /** The item as it is stored now. */
  readAnew(id: string): Promise<Versioned<Entities[K]> | undefined> {
    const begun = this.begin(id)
    begun.reading = this.#readFor(id, begun)
    return begun.reading
  }

  async #readFor(id: string, begun: Begun<K>): Promise<Versioned<Entities[K]> | undefined> {
    let found: Versioned<Entities[K]> | undefined
    try {
      found = await this.#context.store.get(this.#context.kind, { id })
    } finally {
      this.end(id, begun, found)
    }
    return found
  }

  /** Somebody here begins to read or write the item, and says so to {@link end} with what it then is. */
  begin(id: string): Begun<K> {
    const begun: Begun<K> = { unbroken: this.#context.feed.unbroken }
    this.#begun.set(id, begun)
    return begun
  }

  /**
   * Holds `found`, unless it may be old already: somebody else began or ended meanwhile, or told of a change. Nothing is held after what failed
   * and so doesn't know what is stored.
   */
  end(id: string, begun: Begun<K>, found: Versioned<Entities[K]> | undefined): void {
    this.#sweep()
    const isAlone = this.#begun.get(id) === begun
    this.#begun.delete(id)
    if (!isAlone || found === undefined) this.#held.delete(id)
    else this.#held.set(id, { found, atMs: this.#nowMs(), unbroken: begun.unbroken })
  }

  /** A notice says that the item changed, and perhaps to which revision: that of a write made here brings nothing new. */
  hear(id: string, revision: number | undefined): void {
    const held = this.#held.get(id)
    if (held !== undefined && revision !== undefined && held.found.revision >= revision) return
    this.#held.delete(id)
    this.#begun.delete(id)
  }

  /** Not too old, nor from the future of a clock that was set back, and no notice since can have been missed. */
  #isGood({ atMs, unbroken }: Held<K>, longestMs: number): boolean {
    const ageMs = this.#nowMs() - atMs
    return (
      ageMs >= 0 && ageMs < longestMs && unbroken !== undefined && unbroken === this.#context.feed.unbroken
    )
  }

  #nowMs(): number {
    return this.#context.clock().getTime()
  }

  /** Forgets what is too old, so that what is held is what is asked for. */
  #sweep(): void {
    const nowMs = this.#nowMs()
    const longestMs = this.#context.holdMs + this.#context.whileReadMs
    if (Math.abs(nowMs - this.#sweptAtMs) < longestMs) return
    this.#sweptAtMs = nowMs
    for (const [id, held] of this.#held) if (!this.#isGood(held, longestMs)) this.#held.delete(id)
  }
}

/** What agents' heartbeats are answered from. */
export interface HeldRecords {
  servers: HeldItems<'server'>
  replicationServers: HeldItems<'replicationServer'>
  /** Stops listening. */
  close(): void
}

/** Holds servers and the replication servers that they are placed at. */
export function holdRecords(store: Store, feed: ChangeFeed, clock: () => Date): HeldRecords {
  const isWorthIt = (items: number) => items >= leastItems
  const servers = new HeldItems({ store, kind: 'server', feed, clock, holdMs, whileReadMs: 0, isWorthIt })
  const replicationServers = new HeldItems({
    store,
    kind: 'replicationServer',
    feed,
    clock,
    holdMs: holdQuietMs,
    whileReadMs: holdQuietWhileReadMs,
    isWorthIt: () => servers.isLarge,
  })
  const close = feed.listen((notice) => {
    if (notice.kind === 'server') servers.hear(notice.id, notice.revision)
  })
  return { servers, replicationServers, close }
}
