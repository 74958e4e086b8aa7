/**
 * Hearing of changes, whoever made them.
 * @module
 */
import type { ChangeNotice } from '../queues/changes.ts'

/** Notices of changes, from any process. */
export interface ChangeFeed {
  /** Calls `listener` for each notice until the function returned is called. */
  listen(listener: (notice: ChangeNotice) => void): () => void
  /** Stays the same while no notice can have been missed; undefined while none comes. */
  readonly unbroken: symbol | undefined
}
