/**
 * For how long a first copy was held back by what it was allowed to send (a limit, a calendar, the share of a site, a pause), and how much was copied
 * meanwhile: what is left says how fast the link is. Kept as a sum in writes that are made anyway. Pure.
 * @module
 */
import type { Allowance } from './bandwidth.ts'
import type { HeldBackSum } from './replication_record.ts'

/** Where a copy is. */
export interface CopyMark {
  at: string
  replicatedBytes: number
  wireBytes: number
}

/** From this share of what is allowed on, it is that which holds a copy back. */
export const heldBackShare = 0.75

/** Shares of a site move a little with every division: an allowance that is not further off than this is the same one. */
const sameWithin = 1.25

/** `known` up to `here`, where `allowance` begins to hold or goes on to; undefined where nobody says what is allowed. */
export function heldBackUntil(
  known: HeldBackSum | undefined,
  here: CopyMark,
  allowance: Allowance | undefined,
  isPaused: boolean,
): HeldBackSum | undefined {
  if (allowance === undefined) return known
  const allowed = isPaused ? 0 : bytesPerSecondOf(allowance)
  if (known === undefined) return { seconds: 0, bytes: 0, since: { ...here, allowed } }
  // A clock that was set back: the stretch begins again.
  if (here.at < known.since.at) return { ...known, since: { ...here, allowed } }
  return isSame(known.since.allowed, allowed) ? known : { ...ended(known, here), since: { ...here, allowed } }
}

/** The sums at the end of the copy, `here`. */
export function heldBackInAll(known: HeldBackSum, here: CopyMark): Pick<HeldBackSum, 'seconds' | 'bytes'> {
  return ended(known, here)
}

/** Null for no limit. */
function bytesPerSecondOf({ isOff, bitsPerSecond }: Allowance): number | null {
  if (isOff) return 0
  return Number.isFinite(bitsPerSecond) ? bitsPerSecond / 8 : null
}

function isSame(one: number | null, other: number | null): boolean {
  if (one === null || other === null || one === 0 || other === 0) return one === other
  return Math.max(one, other) <= sameWithin * Math.min(one, other)
}

function ended({ seconds, bytes, since }: HeldBackSum, here: CopyMark): { seconds: number; bytes: number } {
  const { allowed } = since
  const took = Math.max(0, Date.parse(here.at) - Date.parse(since.at)) / 1000
  const sent = here.wireBytes - since.wireBytes
  const isHeld = allowed !== null && sent >= heldBackShare * allowed * took
  if (!isHeld || took === 0) return { seconds, bytes }
  return {
    seconds: seconds + took,
    bytes: bytes + Math.max(0, here.replicatedBytes - since.replicatedBytes),
  }
}
