/**
 * The one place where the native BLAKE3 is loaded. A build that carries native parts in its own way (the agent's single executable)
 * replaces this file and nothing else.
 * @module
 */
import { blake3, Blake3Hasher } from '@napi-rs/blake-hash'

/** BLAKE3 of `bytes`, 32 bytes, in one call. */
export function blake3Digest(bytes: Uint8Array): Uint8Array {
  return blake3(bytes)
}

/** BLAKE3 over bytes that arrive in pieces. */
export interface Blake3Stream {
  update(bytes: Uint8Array): void
  /** The 32 bytes over everything so far. */
  digest(): Uint8Array
}

/** A new, empty BLAKE3. */
export function blake3Stream(): Blake3Stream {
  const hasher = new Blake3Hasher()
  return {
    update: (bytes) => void hasher.update(bytes),
    digest: () => hasher.digestBuffer(),
  }
}
