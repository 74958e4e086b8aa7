/**
 * Reading whole listings, page by page.
 * @module
 */
import type { Entities, Kind, Store } from './store.ts'

const pageItems = 500

/**
 * Every value of a kind, or of those under `parent`, by id. Ids are random, so whoever wants the newest of what has no parent must read
 * all of it.
 */
export async function listAll<K extends Kind>(
  store: Store,
  kind: K,
  parent?: string,
): Promise<Entities[K][]> {
  const found: Entities[K][] = []
  let cursor: string | undefined
  do {
    const page = await store.list(kind, {
      limit: pageItems,
      ...(parent === undefined ? {} : { parent }),
      ...(cursor === undefined ? {} : { cursor }),
    })
    found.push(...page.items.map(({ value }) => value))
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}
