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
import type { CopiedDisks, LoadRule, LoadSample } from './copy_load.ts'
import type { ReplicationRecord } from './replication_record.ts'
import type { LogSpread, Observation } from './log_spread.ts'
import { heldBackShare } from './held_back.ts'
import { allAlike, isFullnessKnown, learnRule, loadOf } from './copy_load.ts'
import { conformalQuantile, logSpread, median } from './log_spread.ts'

/** A first copy that is over, as far as its record tells. */
export interface PastCopy extends CopiedDisks {
  seconds: number
  /** Payload as it crossed the wire. */
  wireBytes?: number
  changedBytes?: number
  /** 0 for none. */
  limitBytesPerSecond: number
  /** The time in which what was allowed held it back, and what was copied in it; absent where nobody has measured it. */
  heldBack?: { seconds: number; bytes: number }
  instanceType: string
}

/** What was learned, and how well it has held for the very copies it was learned from. */
export interface CopyPace {
  /** Bytes of disks a second that the link carries, counted by the rule for links. */
  link: LogSpread
  /** Bytes of disks that are copied for each byte that a limit lets through, counted by the rule for the wire. */
  perLimitByte: LogSpread
  rules: { link: LoadRule; wire: LoadRule }
  /** Records that it was learned from, and how many of them are of the same kind of replication server. */
  records: number
  likeRecords: number
  /** Of these, with disks of which it is known how full they were. */
  knownRecords: number
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

/** A copy that nothing held back for this long tells of the link, however long something did. */
const leastOpenSeconds = 300

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
      const { wireBytes, changedBytes, usedBytes, fileSystemBytes, heldBackSeconds, heldBackBytes } = record
      return {
        bytes,
        seconds,
        ...(usedBytes === undefined || fileSystemBytes === undefined
          ? {}
          : { usage: { usedBytes, fileSystemBytes } }),
        ...(wireBytes === undefined ? {} : { wireBytes }),
        ...(changedBytes === undefined ? {} : { changedBytes }),
        ...(heldBackSeconds === undefined || heldBackBytes === undefined
          ? {}
          : { heldBack: { seconds: heldBackSeconds, bytes: heldBackBytes } }),
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

/** What is to be known of the server to come, to learn for it. */
export interface PaceQuestion {
  instanceType: string
  areChangesKnown: boolean
  isFullnessKnown: boolean
}

/**
 * What `past` copies tell for a server of `instanceType`; undefined of none. With `areChangesKnown` for one whose rate of change is known: then what changed
 * during past copies counts as copied, too. Otherwise it is taken to change as others did. In the same way `isFullnessKnown` is for one of whose disks it is
 * known how full they are.
 */
export function learnPace(
  past: readonly PastCopy[],
  { instanceType, areChangesKnown, isFullnessKnown: isKnown }: PaceQuestion,
): CopyPace | undefined {
  // Of a server whose disks may be full or empty, past copies say most when theirs may be as well.
  const copies = isKnown ? past : past.map(({ usage: _none, ...copy }) => copy)
  // Not learned anew for each copy that is tried below: it is one figure of many copies, and takes the most time.
  const rules = rulesOf(copies)
  const found = fit(copies, rules, instanceType, areChangesKnown)
  if (found === undefined) return undefined
  const first = Math.max(0, copies.length - maxTried)
  const ranks = copies.slice(first).flatMap((copy, index) => {
    const others = copies.filter((_, place) => place !== first + index)
    const pace = fit(others, rules, copy.instanceType, areChangesKnown)
    return (pace && rankOf(copy, pace, areChangesKnown)) ?? []
  })
  return {
    ...found,
    records: copies.length,
    likeRecords: copies.filter((copy) => copy.instanceType === instanceType).length,
    knownRecords: copies.filter(isFullnessKnown).length,
    isSendingKnown: copies.some((copy) => perLimitByteOf(copy, allAlike, areChangesKnown) !== undefined),
    luck: luckOf(ranks),
  }
}

type Fit = Pick<CopyPace, 'link' | 'perLimitByte' | 'rules'>

/** Where nothing is known of it, all is sent as it is. */
const allIsSent: Observation = { value: limitUse, weight: 1 }

function fit(
  copies: readonly PastCopy[],
  rules: Fit['rules'],
  instanceType: string,
  areChangesKnown: boolean,
): Fit | undefined {
  const hasLike = copies.some((copy) => copy.instanceType === instanceType)
  const links: Observation[] = []
  const perLimitBytes: Observation[] = []
  for (const copy of copies) {
    const length = lengthOf(copy.seconds)
    const likeness = !hasLike || copy.instanceType === instanceType ? 1 : unlikeWeight
    const copied = copiedBytes(copy, rules.link, areChangesKnown)
    const open = openPart(copy)
    // Of one that was always held back it is known that the link carries no less.
    links.push(
      open === undefined
        ? { value: copied / copy.seconds, weight: length * likeness, isAtLeast: true }
        : { value: (copied * open.share) / open.seconds, weight: lengthOf(open.seconds) * likeness },
    )
    const perLimitByte = perLimitByteOf(copy, rules.wire, areChangesKnown)
    if (perLimitByte !== undefined) perLimitBytes.push({ value: perLimitByte, weight: length })
  }
  const link = logSpread(links)
  const perLimitByte = logSpread(perLimitBytes.length === 0 ? [allIsSent] : perLimitBytes)
  return link === undefined || perLimitByte === undefined ? undefined : { link, perLimitByte, rules }
}

function lengthOf(seconds: number): number {
  return seconds / (seconds + shortSeconds)
}

/** Of a copy, the time in which nothing but the link held it back, and what share of it was done then; undefined where that is too little to tell. */
function openPart({
  bytes,
  seconds,
  heldBack,
  ...copy
}: PastCopy): { seconds: number; share: number } | undefined {
  if (heldBack === undefined)
    return isAtLimit({ ...copy, bytes, seconds }) ? undefined : { seconds, share: 1 }
  const open = { seconds: seconds - heldBack.seconds, share: 1 - heldBack.bytes / bytes }
  const isLong = open.seconds >= Math.min(seconds / 2, leastOpenSeconds)
  return isLong && open.seconds > 0 && open.share > 0 ? open : undefined
}

/** How bytes count, for the link and on the wire: where a source is slow to read, empty disks take their time on the first and not on the second. */
function rulesOf(copies: readonly PastCopy[]): Fit['rules'] {
  const sample = (copy: PastCopy, taken: number): LoadSample => ({
    bytes: copy.bytes,
    ...(copy.usage === undefined ? {} : { usage: copy.usage }),
    changedBytes: copy.changedBytes ?? 0,
    taken,
    kind: copy.instanceType,
  })
  const wire = learnRule(copies.map((copy) => ({ ...sample(copy, copy.wireBytes ?? 0), kind: 'wire' })))
  const link = learnRule(
    copies.flatMap((copy) => {
      const open = openPart(copy)
      return open === undefined ? [] : [sample(copy, open.seconds / open.share)]
    }),
  )
  return { link: link ?? wire ?? allAlike, wire: wire ?? link ?? allAlike }
}

function copiedBytes(copy: PastCopy, rule: LoadRule, areChangesKnown: boolean): number {
  return loadOf(copy, rule) + (areChangesKnown ? (copy.changedBytes ?? 0) : 0)
}

/** Whether its own limit held it back all the time. */
function isAtLimit(copy: PastCopy): boolean {
  const { bytes, seconds, limitBytesPerSecond: limit, wireBytes = bytes } = copy
  return limit > 0 && wireBytes / seconds >= heldBackShare * limit
}

/** Measured where the limit held the copy back; else what would have been, by the bytes on the wire. */
function perLimitByteOf(copy: PastCopy, rule: LoadRule, areChangesKnown: boolean): number | undefined {
  const copied = copiedBytes(copy, rule, areChangesKnown)
  if (isAtLimit(copy)) return copied / copy.seconds / copy.limitBytesPerSecond
  // Nothing but empty blocks says nothing of those that are not.
  return copy.wireBytes === undefined || copy.wireBytes <= 0
    ? undefined
    : (limitUse * copied) / copy.wireBytes
}

/**
 * How far on the slow side `copy` was of what `pace`, learned without it, says: the rank of luck at which it takes the time that it took. None for one that
 * calendars and sites held back: what it would have taken without them is not known.
 */
function rankOf(
  copy: PastCopy,
  { link, perLimitByte, rules }: Fit,
  areChangesKnown: boolean,
): number | undefined {
  const { heldBack, limitBytesPerSecond: limit } = copy
  const open = heldBack === undefined ? undefined : openPart(copy)
  if (heldBack !== undefined && open === undefined && !isAtLimit(copy)) return undefined
  const { seconds, share } = open ?? { seconds: copy.seconds, share: 1 }
  const taken = (rule: LoadRule): number =>
    Math.log((copiedBytes(copy, rule, areChangesKnown) * share) / seconds)
  const byLink = (link.middle - taken(rules.link)) / link.width
  if (open !== undefined || limit === 0) return byLink
  return Math.min(byLink, (perLimitByte.middle + Math.log(limit) - taken(rules.wire)) / perLimitByte.width)
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

/** What a pace means for disks: how fast they are copied, and what changes meanwhile. */
export interface PaceOfDisks {
  /** Bytes of these disks a second under a limit (infinite for none), less what changes. */
  gainAt(limitBytesPerSecond: number): number
  /** The same of what is neither free nor empty, as blocks that change are. */
  carriedAt(limitBytesPerSecond: number): number
}

/** `pace` at a rank of luck for `disks`, of which `changedBytesPerSecond` change. */
export function paceOfDisks(
  { link, perLimitByte, rules }: Fit,
  rank: number,
  disks: CopiedDisks,
  changedBytesPerSecond: number,
): PaceOfDisks {
  const byLink = Math.exp(link.middle - rank * link.width)
  const byLimitByte = Math.exp(perLimitByte.middle - rank * perLimitByte.width)
  // What changes is no emptier on a disk that is hardly used.
  const onLink = disks.bytes / Math.max(1, loadOf(disks, rules.link))
  const onWire = disks.bytes / Math.max(1, loadOf(disks, rules.wire))
  return {
    gainAt: (limit) =>
      Math.min(
        (byLink - changedBytesPerSecond) * onLink,
        (limit * byLimitByte - changedBytesPerSecond) * onWire,
      ),
    carriedAt: (limit) => Math.min(byLink, limit * byLimitByte),
  }
}
