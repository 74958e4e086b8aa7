/**
 * Versions of the replication protocol, each with one sentence on what changed. Raise the last one with every change of `message.ts`
 * or `frame.ts` that the other end could notice.
 * @module
 */
export const protocolVersions = [
  { version: 1, changed: 'First version' },
  {
    version: 2,
    changed:
      'PIECES carries the changed parts of blocks; WELCOME names the copy that a volume holds; VERIFY, VERIFIED and DAMAGED prove and mend copies; PREPARE and TO_READ bound what is read behind a barrier',
  },
] as const

/** The version this build speaks. */
export const protocolVersion = 2
