/**
 * How long the first copy of a server will take, and whether it will ever be whole. Pure; what it is learned from is in `copy_pace.ts`.
 * @module
 */
import type { CopiedDisks } from './copy_load.ts'
import type { CopyPace, PastCopy } from './copy_pace.ts'
import type { LimitAhead } from './bandwidth_ahead.ts'
import type { KeptCopyForecast, MinutesAhead } from './forecast.ts'
import type { SourceServer } from './source_server.ts'
import { meanOf, secondsToCopy } from './bandwidth_ahead.ts'
import { isFullnessKnown, leastSamples } from './copy_load.ts'
import { coveragePercent, learnPace, paceOfDisks } from './copy_pace.ts'
import { usageOfCopied } from './inventory.ts'
import { standardInstanceType } from './launch.ts'
import { speedInWords } from './units.ts'

/** What is known of a copy to come. */
export interface CopyAhead extends CopiedDisks {
  instanceType: string
  limit: LimitAhead
  /** Absent where nobody has measured it: then it is taken to change as others did. */
  changedBytesPerSecond?: number
}

/** What the figures come from. */
export interface ForecastBasis {
  /** Records of initial replications that tell a pace. */
  records: number
  /** Of these, with the same type of replication server. */
  likeRecords: number
  /** What holds the copy back. */
  heldBackBy: 'LINK' | 'LIMIT'
  /** Bytes of disks a second, empty blocks and compression counted in. */
  linkBytesPerSecond: number
  /** The same within the limit, on average over a week. */
  copiedBytesPerSecond: number
  /** The same of blocks that are neither free nor empty, as those that change: less, where much of the disks is free. */
  carriedBytesPerSecond: number
  /** On the wire, on average over a week; absent without a limit. */
  limitBytesPerSecond?: number
  changedBytesPerSecond?: number
  /** How full its disks are, where that is heeded: of the file systems that are known. */
  usedBytes?: number
  fileSystemBytes?: number
  /** All of it in a sentence. */
  words: string
}

/** What can be said. */
export type CopyForecast =
  | { state: 'UNKNOWN'; because: string }
  | { state: 'NEVER'; because: string; basis: ForecastBasis }
  | ({ state: 'EXPECTED'; basis: ForecastBasis } & MinutesAhead)

/** With fewer records the interval is mostly what copies usually are. */
const fewRecords = 10

/** Longer than this nobody waits: it is as good as never. */
const mostMinutes = 10 * 365 * 1440

/** The bytes and the kind of replication server of `server`. */
export function copyAheadOf(
  server: SourceServer,
  limit: LimitAhead,
  changedBytesPerSecond: number | undefined,
): CopyAhead {
  const usage = usageOfCopied(server)
  return {
    bytes: server.disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    ...(usage === undefined ? {} : { usage }),
    instanceType:
      server.replicationConfiguration.stagingChoices?.replicationServerInstanceType ?? standardInstanceType,
    limit,
    ...(changedBytesPerSecond === undefined ? {} : { changedBytesPerSecond }),
  }
}

/** What past copies tell of `known`. */
export function forecastCopy(
  known: CopyAhead,
  copies: readonly PastCopy[],
  learn: typeof learnPace = learnPace,
): CopyForecast {
  const { usage: _little, ...plain } = known
  const ahead = isFullnessKnown(known) ? known : plain
  const pace = learn(copies, {
    instanceType: ahead.instanceType,
    areChangesKnown: ahead.changedBytesPerSecond !== undefined,
    isFullnessKnown: isFullnessKnown(ahead),
  })
  if (pace === undefined)
    return {
      state: 'UNKNOWN',
      because: 'No initial replication is recorded yet, so nothing tells how fast the link is',
    }
  const basis = basisOf(ahead, pace)
  const { low, middle, high } = pace.luck
  const lowMinutes = minutesAt(ahead, pace, low, Math.floor)
  const expectedMinutes = minutesAt(ahead, pace, middle)
  const highMinutes = minutesAt(ahead, pace, high, Math.ceil)
  if (expectedMinutes === undefined || lowMinutes === undefined)
    return { state: 'NEVER', because: neverInWords(basis), basis }
  return {
    state: 'EXPECTED',
    expectedMinutes,
    lowMinutes,
    ...(highMinutes === undefined ? {} : { highMinutes }),
    coveragePercent,
    basis,
  }
}

/** What is to be kept of `forecast`; undefined of one that says nothing. */
export function keptForecast(forecast: CopyForecast, madeAt: string): KeptCopyForecast | undefined {
  if (forecast.state === 'UNKNOWN') return undefined
  if (forecast.state === 'NEVER')
    return { madeAt, never: { because: forecast.because }, records: forecast.basis.records }
  const { expectedMinutes, lowMinutes, highMinutes, coveragePercent, basis } = forecast
  return {
    madeAt,
    expectedMinutes,
    lowMinutes,
    ...(highMinutes === undefined ? {} : { highMinutes }),
    coveragePercent,
    records: basis.records,
  }
}

/** Minutes at a rank of luck; undefined when it never ends. */
function minutesAt(
  ahead: CopyAhead,
  pace: CopyPace,
  rank: number,
  round?: (value: number) => number,
): number | undefined {
  const { gainAt } = paceOfDisks(pace, rank, ahead, ahead.changedBytesPerSecond ?? 0)
  const seconds = secondsToCopy(ahead.bytes, ahead.limit, gainAt)
  const minutes = seconds / 60
  return minutes > mostMinutes ? undefined : roundedMinutes(minutes, round)
}

/** Whole minutes from ten on, and hundredths below: more would be false precision. Ends of an interval are rounded away from its middle. */
export function roundedMinutes(minutes: number, round: (value: number) => number = Math.round): number {
  return minutes < 10 ? round(minutes * 100) / 100 : round(minutes)
}

function basisOf(ahead: CopyAhead, pace: CopyPace): ForecastBasis {
  const { gainAt, carriedAt } = paceOfDisks(pace, pace.luck.middle, ahead, 0)
  const linkBytesPerSecond = Math.round(gainAt(Infinity))
  const copied = meanOf(ahead.limit, gainAt)
  const limit = meanOf(ahead.limit, (part) => part)
  const heldBackBy = copied < 0.99 * linkBytesPerSecond ? 'LIMIT' : 'LINK'
  const basis = {
    records: pace.records,
    likeRecords: pace.likeRecords,
    heldBackBy,
    linkBytesPerSecond,
    copiedBytesPerSecond: Math.round(copied),
    carriedBytesPerSecond: Math.round(meanOf(ahead.limit, carriedAt)),
    ...(Number.isFinite(limit) ? { limitBytesPerSecond: Math.round(limit) } : {}),
    ...(ahead.changedBytesPerSecond === undefined
      ? {}
      : { changedBytesPerSecond: Math.round(ahead.changedBytesPerSecond) }),
    ...(isFullnessHeeded(pace) ? ahead.usage : {}),
  } as const
  return { ...basis, words: basisInWords(basis, pace, ahead) }
}

function isFullnessHeeded({ knownRecords }: CopyPace): boolean {
  return knownRecords >= leastSamples
}

function basisInWords(basis: Omit<ForecastBasis, 'words'>, pace: CopyPace, ahead: CopyAhead): string {
  const { records, likeRecords } = basis
  const many = `${records} ${records === 1 ? 'record' : 'records'}`
  const said = [
    likeRecords === 0
      ? `from ${many}, none of them with a replication server of type ${ahead.instanceType}`
      : likeRecords === records
        ? `from ${many}`
        : `from ${many}, ${likeRecords} of them with a replication server of type ${ahead.instanceType}`,
    basis.heldBackBy === 'LIMIT'
      ? 'the limit of its bandwidth holds it back'
      : `copies here go at about ${speedInWords(basis.linkBytesPerSecond)}`,
  ]
  if (ahead.usage !== undefined) {
    const { usedBytes, fileSystemBytes } = ahead.usage
    const full = `${Math.round((100 * usedBytes) / fileSystemBytes)} % of its file systems are used`
    said.push(
      isFullnessHeeded(pace)
        ? full
        : `${full}, which counts once ${leastSamples} records know it of their servers`,
    )
  }
  if (basis.heldBackBy === 'LIMIT' && !pace.isSendingKnown)
    said.push('no record tells how much of a disk has to be sent, so all of it is taken to be')
  if (records < fewRecords) said.push('so few records make a wide interval that is little more than a guess')
  return said.join('; ')
}

function neverInWords({
  changedBytesPerSecond = 0,
  carriedBytesPerSecond,
  heldBackBy,
}: ForecastBasis): string {
  if (changedBytesPerSecond === 0)
    return 'Its limit and calendar let too little through to copy it within years: give it more bandwidth'
  return (
    `Blocks change at ${speedInWords(changedBytesPerSecond)}, and ${heldBackBy === 'LIMIT' ? 'its limit lets less than that through' : `the link carries about ${speedInWords(carriedBytesPerSecond)}`}: ` +
    'give it more bandwidth, or have less written while it is copied'
  )
}
