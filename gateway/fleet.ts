/**
 * All source servers, held in memory for lists, metrics and replication servers' assignments. It may be a moment old; whoever decides
 * something reads the item itself. Kept fresh by change notices, and by reading everything again now and then because notices get lost.
 * @module
 */
import type { ReplicationServerId, SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Store } from '../store/store.ts'
import type { ChangeFeed } from './change_feed.ts'

/** More changed servers than this are read as one listing. */
const maxSingleReads = 50

/** A listing is this old at most; a large fleet is listed less often, because a listing reads it all. */
function maxAgeMs(size: number): number {
  if (size < 200) return 1000
  return size < 2000 ? 10_000 : 30_000
}

/** The servers. */
export class Fleet {
  readonly #store: Store
  readonly #clock: () => Date
  readonly #servers = new Map<SourceServerId, SourceServer>()
  readonly #changed = new Set<SourceServerId>()
  readonly #stopListening: () => void
  #listedAt = -Infinity
  #running: Promise<void> | undefined

  constructor(store: Store, feed: ChangeFeed, clock: () => Date) {
    this.#store = store
    this.#clock = clock
    this.#stopListening = feed.listen((notice) => {
      if (notice.kind === 'server') this.#changed.add(notice.id as SourceServerId)
    })
  }

  /** Every server, oldest first. */
  async list(): Promise<SourceServer[]> {
    await this.#refresh()
    return [...this.#servers.values()]
  }

  /** The servers whose volumes are at `replicationServerId`. */
  async of(replicationServerId: ReplicationServerId): Promise<SourceServer[]> {
    const all = await this.list()
    return all.filter((server) => server.replication.replicationServerId === replicationServerId)
  }

  /** Takes over a server just written here, without waiting for the notice. */
  note(server: SourceServer): void {
    if (this.#listedAt === -Infinity) return
    this.#servers.set(server.sourceServerId, server)
  }

  /** Stops listening. */
  close(): void {
    this.#stopListening()
  }

  /** Callers at the same moment share one reading. */
  async #refresh(): Promise<void> {
    this.#running ??= this.#read().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async #read(): Promise<void> {
    const now = this.#clock().getTime()
    const isOld = now - this.#listedAt >= maxAgeMs(this.#servers.size)
    const changed = [...this.#changed]
    this.#changed.clear()
    if (isOld || changed.length > maxSingleReads) {
      await this.#readAll()
      this.#listedAt = now
      return
    }
    for (const id of changed) {
      const found = await this.#store.get('server', { id })
      if (found === undefined) this.#servers.delete(id)
      else this.#servers.set(id, found.value)
    }
  }

  async #readAll(): Promise<void> {
    const found: SourceServer[] = []
    let cursor: string | undefined
    do {
      const page = await this.#store.list('server', {
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      })
      found.push(...page.items.map(({ value }) => value))
      cursor = page.cursor
    } while (cursor !== undefined)
    found.sort((one, other) => one.createdAt.localeCompare(other.createdAt))
    this.#servers.clear()
    for (const server of found) this.#servers.set(server.sourceServerId, server)
  }
}
