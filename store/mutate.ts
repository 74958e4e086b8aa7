/**
 * Read, change, write if nobody was faster, else again.
 * @module
 */
import type { Entities, Key, Kind, Store, Versioned } from './store.ts'
import { NotFoundError } from '../domain/errors.ts'
import { RevisionConflictError } from './store.ts'

/**
 * Reads, changes and conditionally writes one item; again when another writer was faster.
 * `change` returns the new value, or the same object (or undefined) to leave it as it is; it may run several times, so it must be pure.
 *
 * @throws NotFoundError when the item does not exist; whatever `change` throws; RevisionConflictError after `attempts` lost races.
 */
export async function mutate<K extends Kind>(
  store: Store,
  kind: K,
  key: Key,
  change: (value: Entities[K], revision: number) => Entities[K] | undefined,
  attempts = 20,
): Promise<Versioned<Entities[K]>> {
  for (let attempt = 1; ; attempt++) {
    const current = await store.get(kind, key)
    if (current === undefined) throw new NotFoundError(kind, key.id)
    const next = change(current.value, current.revision)
    if (next === undefined || next === current.value) return current
    try {
      return { value: next, revision: await store.replace(kind, key, current.revision, next) }
    } catch (error) {
      if (!(error instanceof RevisionConflictError) || attempt >= attempts) throw error
    }
  }
}
