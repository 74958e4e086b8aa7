/**
 * What the agent and its hash threads say to each other.
 * @module
 */

/** What a thread is started with. */
export interface HashThreadData {
  /** Where the single executable may write out its native part, best first. */
  nativeDirectories: readonly string[]
}

/** Blocks to be read and hashed. */
export interface HashJob {
  id: number
  /** An open file, which stays open until the answer. */
  fd: number
  /** A multiple of the block size. */
  offsetBytes: number
  /** At most the length of the largest extent. */
  lengthBytes: number
}

/** The hashes one after the other, or why there are none. */
export type HashAnswer = { id: number; hashes: Uint8Array } | { id: number; reason: string }

/** Something that is worth a line in the log. */
export interface HashWarning {
  warning: string
}
