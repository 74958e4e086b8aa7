/**
 * The store in memory: for tests, with the same rules as the real one. Values are copied in and out, so nobody shares an object with it.
 * @module
 */
import type { Entities, Key, Kind, ListOptions, Page, Store, Versioned } from '../store.ts'
import { decodeCursor, encodeCursor, pageSize } from '../paging.ts'
import { RevisionConflictError } from '../store.ts'

interface Item {
  parent: string
  id: string
  revision: number
  /** JSON, as it would cross a wire: what JSON loses is lost here too. */
  json: string
}

/** A store that is gone with its process. */
export class MemoryStore implements Store {
  readonly #items = new Map<Kind, Map<string, Item>>()

  initialise(): Promise<void> {
    return Promise.resolve()
  }

  get<K extends Kind>(kind: K, key: Key): Promise<Versioned<Entities[K]> | undefined> {
    const item = this.#kind(kind).get(nameOf(key))
    return Promise.resolve(item && read<K>(item))
  }

  async create<K extends Kind>(kind: K, key: Key, value: Entities[K]): Promise<number> {
    if (this.#kind(kind).has(nameOf(key)))
      throw new RevisionConflictError(`Cannot create ${kind} ${key.id}: it exists`)
    this.#write(kind, key, 1, value)
    return 1
  }

  async replace<K extends Kind>(kind: K, key: Key, revision: number, value: Entities[K]): Promise<number> {
    this.#check(kind, key, revision)
    this.#write(kind, key, revision + 1, value)
    return revision + 1
  }

  async remove(kind: Kind, key: Key, revision?: number): Promise<void> {
    if (!this.#kind(kind).has(nameOf(key))) return
    if (revision !== undefined) this.#check(kind, key, revision)
    this.#kind(kind).delete(nameOf(key))
  }

  async list<K extends Kind>(kind: K, options: ListOptions = {}): Promise<Page<Entities[K]>> {
    const limit = pageSize(options.limit)
    const sign = options.descending === true ? -1 : 1
    const after = options.cursor === undefined ? undefined : decodeCursor(options.cursor)
    const rest = [...this.#kind(kind).values()]
      .filter((item) => options.parent === undefined || item.parent === options.parent)
      .sort((left, right) => sign * compareIds(left.id, right.id))
      .filter((item) => after === undefined || sign * compareIds(item.id, after) > 0)
    const items = rest.slice(0, limit)
    const last = items.at(-1)
    return {
      items: items.map((item) => read<K>(item)),
      ...(rest.length > limit && last !== undefined ? { cursor: encodeCursor(last.id) } : {}),
    }
  }

  ping(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #kind(kind: Kind): Map<string, Item> {
    const items = this.#items.get(kind) ?? new Map<string, Item>()
    this.#items.set(kind, items)
    return items
  }

  #check(kind: Kind, key: Key, revision: number): void {
    const stored = this.#kind(kind).get(nameOf(key))?.revision
    if (stored === revision) return
    throw new RevisionConflictError(
      `Cannot write ${kind} ${key.id} at revision ${revision}: it is at ${stored ?? 'none'}`,
    )
  }

  #write<K extends Kind>(kind: K, key: Key, revision: number, value: Entities[K]): void {
    this.#kind(kind).set(nameOf(key), {
      parent: key.parent ?? '',
      id: key.id,
      revision,
      json: JSON.stringify(value),
    })
  }
}

function nameOf(key: Key): string {
  return JSON.stringify([key.parent ?? '', key.id])
}

function read<K extends Kind>(item: Item): Versioned<Entities[K]> {
  return { value: JSON.parse(item.json) as Entities[K], revision: item.revision }
}

/** By code unit, as DynamoDB orders ASCII keys. */
function compareIds(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
