/**
 * How fast first copies go here, learned from the records of those that are over. Pure.
 *
 * A copy is held back by the link (with all that is at its ends: disks, processors, the kind of replication server) or by a limit that somebody has set.
 * Of the link, copies that nothing held back tell; the others tell that it carries at least so much. Under a limit a disk is copied faster than
 * the limit says, as empty blocks are not sent and others are compressed: how much faster, records tell as well.
 *
 * Nothing here depends on how large the server to come is, or on its limit: so a larger disk is never said to be copied sooner, nor a tighter limit
 * to be quicker. See docs/decisions/0019-forecasts.md.
 * @module
 */
import type { ReplicationRecord } from './replication_record.ts'
import type { LogSpread, Observation } from './log_spread.ts'
import { conformalQuantile, logSpread, median } from './log_spread.ts'

/** A first copy that is over, as far as its record tells. */
export interface PastCopy {
  bytes: number
  seconds: number
  /** Payload as it crossed the wire. */
  wireBytes?: number
  changedBytes?: number
  /** 0 for none. */
  limitBytesPerSecond: number
  instanceType: string
}

/** What was learned, and how well it has held for the very copies it was learned from. */
export interface CopyPace {
  /** Bytes of disks a second that the link carries. */
  link: LogSpread
  /** Bytes of disks that are copied for each byte that a limit lets through. */
  perLimitByte: LogSpread
  /** Records that it was learned from, and how many of them are of the same kind of replication server. */
  records: number
  likeRecords: number
  /** Whether any record tells how much of a disk has to be sent. */
  isSendingKnown: boolean
  /** Ranks of luck of which {@link coveragePercent} of a hundred copies lie between the two outer ones: above 0 is slower. */
  luck: { low: number; middle: number; high: number }
}

/** Of a hundred copies, so many are to take a time within the interval. */
export const coveragePercent = 80

/** Tenths of the normal distribution. */
const nominalLuck = { low: -1.2816, middle: 0, high: 1.2816 }

/** Older records than the newest so many say little of the link as it is now. */
const maxRecords = 200

/** So many of the newest are tried without themselves, which takes the most time: a hundredth of a second for all. */
const maxTried = 60
const leastTried = 20

/** Records of another kind of replication server count by this much. */
const unlikeWeight = 0.2

/** A copy of seconds tells of beginning and end, and little of the pace: one of this length counts for half. */
const shortSeconds = 60

/** From this share of its limit on a copy was held back by it. */
const heldBackShare = 0.75

/** What is left of a limit after pauses between bytes. */
const limitUse = 0.95

/** What the records tell; those that lack times or bytes tell nothing. Newest last. */
export function pastCopies(records: readonly ReplicationRecord[]): PastCopy[] {
  return records
    .toSorted((one, other) =>
      one.readyForTestAt === other.readyForTestAt ? 0 : one.readyForTestAt < other.readyForTestAt ? -1 : 1,
    )
    .flatMap((record) => {
      const { replicationStartedAt: from, readyForTestAt, replicatedStorageBytes: bytes } = record
      const seconds = from === undefined ? 0 : (Date.parse(readyForTestAt) - Date.parse(from)) / 1000
      if (!(seconds > 0) || !(bytes > 0)) return []
      const { wireBytes, changedBytes } = record
      return {
        bytes,
        seconds,
        ...(wireBytes === undefined ? {} : { wireBytes }),
        ...(changedBytes === undefined ? {} : { changedBytes }),
        limitBytesPerSecond: bytesOfMegabits(record.bandwidthThrottlingMbps),
        instanceType: record.replicationServerInstanceType,
      }
    })
    .slice(-maxRecords)
}

/** Bytes a second of megabits a second. */
export function bytesOfMegabits(megabits: number): number {
  return (megabits * 1_000_000) / 8
}

/**
 * What `copies` tell for a server of `instanceType`; undefined of none. With `areChangesKnown` for one whose rate of change is known: then what changed
 * during past copies counts as copied, too. Otherwise it is taken to change as others did.
 */
export function learnPace(
  copies: readonly PastCopy[],
  instanceType: string,
  areChangesKnown: boolean,
): CopyPace | undefined {
  const found = fit(copies, instanceType, areChangesKnown)
  if (found === undefined) return undefined
  const first = Math.max(0, copies.length - maxTried)
  const ranks = copies.slice(first).flatMap((copy, index) => {
    const others = copies.filter((_, place) => place !== first + index)
    const pace = fit(others, copy.instanceType, areChangesKnown)
    return pace === undefined ? [] : [rankOf(copy, pace, areChangesKnown)]
  })
  return {
    ...found,
    records: copies.length,
    likeRecords: copies.filter((copy) => copy.instanceType === instanceType).length,
    isSendingKnown: copies.some((copy) => perLimitByteOf(copy, areChangesKnown) !== undefined),
    luck: luckOf(ranks),
  }
}

type Fit = Pick<CopyPace, 'link' | 'perLimitByte'>

/** Where nothing is known of it, all is sent as it is. */
const allIsSent: Observation = { value: limitUse, weight: 1 }

function fit(copies: readonly PastCopy[], instanceType: string, areChangesKnown: boolean): Fit | undefined {
  const hasLike = copies.some((copy) => copy.instanceType === instanceType)
  const links: Observation[] = []
  const perLimitBytes: Observation[] = []
  for (const copy of copies) {
    const length = copy.seconds / (copy.seconds + shortSeconds)
    const likeness = !hasLike || copy.instanceType === instanceType ? 1 : unlikeWeight
    const value = copiedBytes(copy, areChangesKnown) / copy.seconds
    links.push({ value, weight: length * likeness, isAtLeast: isHeldBack(copy) })
    const perLimitByte = perLimitByteOf(copy, areChangesKnown)
    if (perLimitByte !== undefined) perLimitBytes.push({ value: perLimitByte, weight: length })
  }
  const link = logSpread(links)
  const perLimitByte = logSpread(perLimitBytes.length === 0 ? [allIsSent] : perLimitBytes)
  return link === undefined || perLimitByte === undefined ? undefined : { link, perLimitByte }
}

function copiedBytes({ bytes, changedBytes = 0 }: PastCopy, areChangesKnown: boolean): number {
  return areChangesKnown ? bytes + changedBytes : bytes
}

function isHeldBack(copy: PastCopy): boolean {
  const { bytes, seconds, limitBytesPerSecond: limit, wireBytes = bytes } = copy
  return limit > 0 && wireBytes / seconds >= heldBackShare * limit
}

/** Measured where the limit held the copy back; else what would have been, by the bytes on the wire. */
function perLimitByteOf(copy: PastCopy, areChangesKnown: boolean): number | undefined {
  const copied = copiedBytes(copy, areChangesKnown)
  if (isHeldBack(copy)) return copied / copy.seconds / copy.limitBytesPerSecond
  // Nothing but empty blocks says nothing of those that are not.
  return copy.wireBytes === undefined || copy.wireBytes <= 0
    ? undefined
    : (limitUse * copied) / copy.wireBytes
}

/** How far on the slow side `copy` was of what `pace`, learned without it, says: the rank of luck at which it takes the time that it took. */
function rankOf(copy: PastCopy, { link, perLimitByte }: Fit, areChangesKnown: boolean): number {
  const taken = Math.log(copiedBytes(copy, areChangesKnown) / copy.seconds)
  const byLink = (link.middle - taken) / link.width
  const limit = copy.limitBytesPerSecond
  if (limit === 0) return byLink
  return Math.min(byLink, (perLimitByte.middle + Math.log(limit) - taken) / perLimitByte.width)
}

/** With enough copies tried, what has held for them; the normal distribution's else. */
function luckOf(ranks: readonly number[]): CopyPace['luck'] {
  if (ranks.length < leastTried) return nominalLuck
  const sorted = ranks.toSorted((one, other) => one - other)
  const outside = (100 - coveragePercent) / 200
  const middle = median(sorted) ?? nominalLuck.middle
  return {
    low: Math.min(conformalQuantile(sorted, outside) ?? nominalLuck.low, middle),
    middle,
    high: Math.max(conformalQuantile(sorted, 1 - outside) ?? nominalLuck.high, middle),
  }
}

/** Bytes a second at a rank of luck, under a limit (infinite for none). */
export function paceAt(
  { link, perLimitByte }: Pick<CopyPace, 'link' | 'perLimitByte'>,
  rank: number,
  limitBytesPerSecond: number,
): number {
  const byLink = Math.exp(link.middle - rank * link.width)
  const byLimit = limitBytesPerSecond * Math.exp(perLimitByte.middle - rank * perLimitByte.width)
  return Math.min(byLink, byLimit)
}
