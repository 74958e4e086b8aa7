/**
 * How much there is to do for a first copy: a block that file systems call free is read and, if it is zeros, not sent; others cost more. By how much,
 * past copies tell whose disks' fullness is known. Pure.
 * @module
 */
import type { DiskUsage } from './source_properties.ts'

/** The disks of a copy. */
export interface CopiedDisks {
  bytes: number
  /** Of their mounted file systems; absent where nothing is known. */
  usage?: DiskUsage
}

/** What a byte counts, of a file system and free, and of no file system that is known. One that is used counts 1. */
export interface LoadRule {
  free: number
  unknown: number
}

/** Every byte counts the same: all that can be said while nobody knows better. */
export const allAlike: LoadRule = { free: 1, unknown: 1 }

/** A copy that is over, by what it took: seconds on a link, or bytes on the wire. */
export interface LoadSample extends CopiedDisks {
  changedBytes: number
  taken: number
  /** Samples of one kind are compared with each other. */
  kind: string
}

/** Fewer samples tell chance as well as a rule. */
export const leastSamples = 8

/** What a free byte may count, from hardly anything (it has to be read all the same) to as much as a used one. */
const candidates = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]

/** Whether how full disks are is known of the better part of them. */
export function isFullnessKnown({ bytes, usage }: CopiedDisks): boolean {
  return usage !== undefined && usage.fileSystemBytes > 0 && usage.fileSystemBytes >= bytes / 2
}

/** The bytes of disks by what they count. */
export function loadOf({ bytes, usage }: CopiedDisks, { free, unknown }: LoadRule): number {
  if (usage === undefined) return unknown * bytes
  // A disk may have shrunk since it was looked at.
  const known = Math.min(usage.fileSystemBytes, bytes)
  const used = Math.min(usage.usedBytes, known)
  return used + free * (known - used) + unknown * (bytes - known)
}

/** The rule by which samples took the most even time for what they had to do; undefined of too few. */
export function learnRule(samples: readonly LoadSample[]): LoadRule | undefined {
  const known = samples.filter((sample) => sample.taken > 0 && isFullnessKnown(sample))
  if (known.length < leastSamples) return undefined
  let best: { rule: LoadRule; squares: number } | undefined
  // From the one that heeds fullness least: nothing is made of what helps nothing.
  for (const free of candidates.toReversed()) {
    const rule = { free, unknown: unknownOf(known, free) }
    const squares = squaresOf(known, rule)
    if (best === undefined || squares < best.squares) best = { rule, squares }
  }
  return best?.rule
}

/** A byte of which nothing is known counts as one of the others does in the middle. */
function unknownOf(known: readonly LoadSample[], free: number): number {
  const logs = known.flatMap(({ usage }) => {
    if (usage === undefined) return []
    const share = usage.usedBytes / usage.fileSystemBytes
    return Math.log(share + free * (1 - share))
  })
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length)
}

/** How uneven what was taken is, kind by kind: squares of logarithms around their mean. */
function squaresOf(samples: readonly LoadSample[], rule: LoadRule): number {
  const kinds = new Map<string, { count: number; sum: number; squares: number }>()
  for (const sample of samples) {
    const log = Math.log((loadOf(sample, rule) + sample.changedBytes) / sample.taken)
    const { count, sum, squares } = kinds.get(sample.kind) ?? { count: 0, sum: 0, squares: 0 }
    kinds.set(sample.kind, { count: count + 1, sum: sum + log, squares: squares + log ** 2 })
  }
  return [...kinds.values()].reduce((all, { count, sum, squares }) => all + squares - sum ** 2 / count, 0)
}
