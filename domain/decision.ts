/**
 * Whether something can be done now, and why not.
 * @module
 */

/** Possible, or why not: a sentence for the operator. */
export type Decision = { possible: true } | { possible: false; because: string }

/** It can be done. */
export const possible: Decision = { possible: true }

/** It cannot be done now. */
export const refuse = (because: string): Decision => ({ possible: false, because })
