/**
 * Tags of servers, groups, templates and transfers.
 * @module
 */

/** A resource has no more. */
export const maxTags = 50
