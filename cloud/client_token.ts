/**
 * Identifiers that follow from the caller's token: asking twice names the same thing, whichever process asks.
 * @module
 */
import { createHash } from 'node:crypto'
import { newId, type IdKind } from '../domain/ids.ts'

/** The identifier of `kind` that belongs to `clientToken`: the start of its SHA-256, so two tokens never meet by chance. */
export function idFromToken<K extends IdKind>(kind: K, clientToken: string): ReturnType<typeof newId<K>> {
  const digest = createHash('sha256').update(`${kind}\n${clientToken}`).digest()
  return newId(kind, (length) => digest.subarray(0, length))
}
