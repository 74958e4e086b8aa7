/**
 * Versions of what is changed, so that nobody overwrites what somebody else has changed since he looked. A check runs within the conditional write:
 * what it has let through is what is replaced.
 * @module
 */
import type { Entities, Key, Kind, Store, Versioned } from '../store/store.ts'
import { ConflictError, NotFoundError } from '../domain/errors.ts'
import { RevisionConflictError } from '../store/store.ts'
import { sha256 } from './secrets.ts'

/** Refuses, by throwing, the version that is stored. It may run several times. */
export type VersionCheck = (version: string) => void

/** Whoever does not say what he saw replaces whatever is there. */
export const anyVersion: VersionCheck = () => undefined

/** What a form showed: `version` from one of its fields. */
export function shownVersion(version: string | undefined): VersionCheck {
  return (stored) => {
    if (version === undefined || version === stored) return
    throw new ConflictError(
      'Somebody else has changed these settings meanwhile. Below is what you entered; save again to replace theirs',
    )
  }
}

/** Names what is only a part of a stored item, by what it says. */
export function contentVersion(value: unknown): string {
  return sha256(JSON.stringify(value)).slice(0, 16)
}

/** Names a stored item. */
export function revisionVersion(revision: number): string {
  return String(revision)
}

/** How often somebody else may be faster. */
const maxTries = 20

/**
 * Removes an item whose version `check` lets through, and no later one. `versionOf` tells the version of what others than people change too.
 * @throws NotFoundError when there is none; whatever `check` throws; RevisionConflictError after too many lost races.
 */
export async function removeChecked<K extends Kind>(
  store: Store,
  kind: K,
  key: Key,
  check: VersionCheck,
  versionOf: (found: Versioned<Entities[K]>) => string = ({ revision }) => revisionVersion(revision),
): Promise<Entities[K]> {
  for (let attempt = 1; ; attempt++) {
    const found = await store.get(kind, key)
    if (found === undefined) throw new NotFoundError(kind, key.id)
    check(versionOf(found))
    try {
      await store.remove(kind, key, found.revision)
      return found.value
    } catch (error) {
      if (!(error instanceof RevisionConflictError) || attempt >= maxTries) throw error
    }
  }
}
