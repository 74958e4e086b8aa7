/**
 * All source servers, held in memory for lists, metrics and replication servers' assignments. It may be a moment old; whoever decides
 * something reads the item itself. Kept fresh by change notices, and by reading everything again where notices were missed, and now and then
 * because single ones get lost.
 * Of a small fleet callers wait for the latest; of a large one they get what is held while it is read again behind them, unless they say that they must see what has
 * just changed.
 * @module
 */
import type { ReplicationServerId, SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Store } from '../store/store.ts'
import type { ChangeFeed } from './change_feed.ts'
import { SharedParts } from './shared_parts.ts'

/** A fleet below this size is read in milliseconds. */
const smallFleet = 200

/** More changed servers than this, or than a tenth of the fleet, are read as one listing. */
const maxSingleReads = 50

/** Single items read at the same time. */
const parallelReads = 25

/** The notice of a write made here comes back within this time, or never. */
const ownNoticeMs = 2000

/** Servers read at once where all are: reading them is work that keeps heartbeats and pages waiting. */
const listingPage = 100

/** Whoever comes when the listing is older than this waits for the next: nobody has looked for long. */
const maxStaleMs = 300_000

/**
 * A listing is this old at most. It mends only what lost notices left behind, and of a large fleet it costs seconds of processor time, so
 * a large fleet is listed less often.
 */
function maxAgeMs(size: number): number {
  if (size < smallFleet) return 1000
  return size < 2000 ? 10_000 : 120_000
}

/** Order of two ISO times. Comparing by language rules would take a hundred times as long. */
function byTime(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1
}

/** The servers. */
export class Fleet {
  readonly #store: Store
  readonly #clock: () => Date
  readonly #servers = new Map<SourceServerId, SourceServer>()
  readonly #parts = new SharedParts()
  readonly #changed = new Set<SourceServerId>()
  /** Those of them that the listing on its way brings, or does not. */
  #listed: ReadonlySet<SourceServerId> = new Set()
  /** Single readings under way: what they read is not among the changed meanwhile. */
  readonly #readings = new Set<Promise<void>>()
  /** Writes made here whose notices are still to come, with the moment until which they are expected. */
  readonly #own = new Map<SourceServerId, number>()
  /** Writes made here while everything is being read: the listing may have passed them already. */
  readonly #notedMeanwhile = new Map<SourceServerId, SourceServer>()
  readonly #feed: ChangeFeed
  readonly #stopListening: () => void
  #listedAt = -Infinity
  #listedUnbroken: symbol | undefined
  #running: Promise<void> | undefined

  constructor(store: Store, feed: ChangeFeed, clock: () => Date) {
    this.#store = store
    this.#clock = clock
    this.#feed = feed
    this.#stopListening = feed.listen((notice) => {
      if (notice.kind === 'server') this.#hear(notice.id as SourceServerId)
    })
  }

  /** Every server, oldest first. */
  async list(): Promise<SourceServer[]> {
    const refreshed = this.#refresh()
    const age = this.#clock().getTime() - this.#listedAt
    if (this.#servers.size < smallFleet || age > maxStaleMs) await refreshed
    // Trouble with the store stays: what is held gets old, and then somebody waits and is told.
    else refreshed.catch(() => undefined)
    return [...this.#servers.values()]
  }

  /** As {@link list}, with what others have changed and given notice of: for whoever shows the outcome of what was just done. */
  async latest(): Promise<SourceServer[]> {
    // Others may be reading just that at this moment, one by one or by a listing that takes seconds.
    const readings = [...this.#readings]
    const changed = [...new Set([...this.#changed, ...this.#listed])]
    if (this.#isMany(changed.length)) return this.list()
    this.#changed.clear()
    await Promise.all([...readings, this.#readEach(changed)])
    // A listing that is on its way may have passed them already.
    if (this.#running !== undefined) for (const id of changed) this.#changed.add(id)
    return this.list()
  }

  /** The servers whose volumes are at `replicationServerId`. */
  async of(replicationServerId: ReplicationServerId): Promise<SourceServer[]> {
    const all = await this.list()
    return all.filter((server) => server.replication.replicationServerId === replicationServerId)
  }

  /** Takes over a server just written here, without waiting for the notice. */
  note(server: SourceServer): void {
    if (this.#listedAt === -Infinity) return
    const id = server.sourceServerId
    if (this.#running !== undefined) this.#notedMeanwhile.set(id, server)
    this.#own.set(id, this.#clock().getTime() + ownNoticeMs)
    this.#take(server)
  }

  /** Stops listening. */
  close(): void {
    this.#stopListening()
  }

  /** Our own writes are known already: with thousands of heartbeats they would be most of what changes. */
  #hear(id: SourceServerId): void {
    const expectedUntil = this.#own.get(id)
    this.#own.delete(id)
    if (expectedUntil === undefined || expectedUntil < this.#clock().getTime()) this.#changed.add(id)
  }

  /** Somebody else's later write may be here already. */
  #take(server: SourceServer): void {
    const held = this.#servers.get(server.sourceServerId)
    if (held !== undefined && held.eventSequence > server.eventSequence)
      this.#changed.add(server.sourceServerId)
    else this.#servers.set(server.sourceServerId, this.#parts.share(server))
  }

  /** Callers at the same moment share one reading. */
  async #refresh(): Promise<void> {
    this.#running ??= this.#read().finally(() => {
      this.#running = undefined
      this.#notedMeanwhile.clear()
    })
    await this.#running
  }

  async #read(): Promise<void> {
    const now = this.#clock().getTime()
    const { unbroken } = this.#feed
    const changed = [...this.#changed]
    this.#changed.clear()
    const isOld = now - this.#listedAt >= maxAgeMs(this.#servers.size) || unbroken !== this.#listedUnbroken
    if (!isOld && !this.#isMany(changed.length)) return this.#readEach(changed)
    this.#listed = new Set(changed)
    try {
      await this.#readAll()
      this.#listedAt = now
      this.#listedUnbroken = unbroken
    } catch (error) {
      for (const id of changed) this.#changed.add(id)
      throw error
    } finally {
      this.#listed = new Set()
    }
  }

  /** So many changed servers are read as a listing. */
  #isMany(count: number): boolean {
    return count > Math.max(maxSingleReads, this.#servers.size / 10)
  }

  /** Reads single servers, which are among the changed again if that fails. */
  async #readEach(ids: readonly SourceServerId[]): Promise<void> {
    const reading = this.#readSome(ids).catch((error: unknown) => {
      for (const id of ids) this.#changed.add(id)
      throw error
    })
    this.#readings.add(reading)
    try {
      await reading
    } finally {
      this.#readings.delete(reading)
    }
  }

  async #readSome(ids: readonly SourceServerId[]): Promise<void> {
    for (let first = 0; first < ids.length; first += parallelReads) {
      const some = ids.slice(first, first + parallelReads).map((id) => ({ id, held: this.#servers.get(id) }))
      const found = await Promise.all(some.map(({ id }) => this.#store.get('server', { id })))
      some.forEach(({ id, held }, index) => {
        const server = found[index]?.value
        // A write made here meanwhile may be newer than what was read; a listing may be older.
        if (this.#servers.get(id) !== held) {
          this.#changed.add(id)
          if (server !== undefined) this.#take(server)
        } else if (server === undefined) this.#servers.delete(id)
        else this.#servers.set(id, this.#parts.share(server))
      })
    }
  }

  async #readAll(): Promise<void> {
    const found: SourceServer[] = []
    let cursor: string | undefined
    do {
      const page = await this.#store.list('server', {
        limit: listingPage,
        ...(cursor === undefined ? {} : { cursor }),
      })
      found.push(...page.items.map(({ value }) => this.#parts.share(value)))
      cursor = page.cursor
    } while (cursor !== undefined)
    found.sort((one, other) => byTime(one.createdAt, other.createdAt))
    this.#servers.clear()
    for (const server of found) this.#servers.set(server.sourceServerId, server)
    for (const server of this.#notedMeanwhile.values()) this.#take(server)
  }
}
