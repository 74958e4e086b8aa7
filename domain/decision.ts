/**
 * Whether something can be done now, and why not.
 * @module
 */

/** Possible, or why not: a sentence for the operator. */
export type Decision = { possible: true } | { possible: false; because: string }
