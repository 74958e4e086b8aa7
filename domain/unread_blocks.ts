/**
 * Blocks of a copy that must be read before its root can be told: they were written in small pieces, or the replication server ended without
 * warning while they were written.
 * @module
 */

/** How much that is, and how fast it is read. */
export interface UnreadBlocks {
  unknownBytes: number
  bytesPerSecond: number
}

/** How long reading them takes. */
export function readingMs({ unknownBytes, bytesPerSecond }: UnreadBlocks): number {
  return (unknownBytes * 1000) / bytesPerSecond
}

/** A sentence without its end, with the figures. */
export function unreadInWords({ unknownBytes, bytesPerSecond }: UnreadBlocks): string {
  const read = `${(unknownBytes / 2 ** 30).toFixed(2)} GiB of the copy, written in small pieces or when the replication server ended without warning`
  return `${read}, are still to be read, at ${Math.round(bytesPerSecond / 1e6)} MB/s`
}
