/**
 * The bandwidth of a site, divided among its servers: by priority among those who want more than there is, and what somebody does not use goes to
 * the others.
 * @module
 */

/** Who goes first when there is not enough: 5 before 1. Each step counts double, and nobody gets nothing. */
export type Priority = 1 | 2 | 3 | 4 | 5

/** Of servers that were never given another. */
export const defaultPriority: Priority = 3

/** A server of the site, in bits a second. */
export interface SiteMember {
  id: string
  priority: Priority
  /** Infinite for as much as it can get. */
  wants: number
  /** What it may take at most, whatever is left over; infinite for no limit of its own. */
  atMost: number
}

/** What is known of how a server uses the link. */
export interface SiteDemand {
  /** What it was given before; undefined at first. */
  given: number | undefined
  /** Measured on the wire; undefined while nobody measures. */
  uses: number | undefined
  /** Blocks wait to be copied. */
  isBusy: boolean
}

/** From this share of what it was given on, a server is held back by it. */
const heldBackShare = 0.75

/** More than it uses: by so much it can grow before it is seen to be held back. */
const headroom = 1.5

/** Every server gets as much at least, unless the site is too small for that: whoever begins to send is seen soon. */
const floorBitsPerSecond = 1_000_000

/** What a server wants: all it can get while it uses what it was given, otherwise somewhat more than it uses. Pure. */
export function wantedBitsPerSecond({ given, uses, isBusy }: SiteDemand): number {
  if (given === undefined || uses === undefined) return isBusy ? Infinity : 0
  return uses >= heldBackShare * given ? Infinity : uses * headroom
}

interface Filling extends SiteMember {
  weight: number
  gets: number
}

/** Fills up everybody at the pace of their weights, until `left` is gone or all have reached `until`. Answers what is left. */
function fill(members: readonly Filling[], left: number, until: (member: Filling) => number): number {
  let rest = left
  let open = members.filter((member) => member.gets < until(member))
  while (rest > 0 && open.length > 0) {
    const weights = open.reduce((sum, { weight }) => sum + weight, 0)
    // The next one to be full, counted in units of weight.
    const step = Math.min(
      rest / weights,
      ...open.map((member) => (until(member) - member.gets) / member.weight),
    )
    for (const member of open) member.gets += step * member.weight
    rest -= step * weights
    const still = open.filter((member) => member.gets < until(member) * (1 - 1e-9))
    // With nobody filled the budget itself was the end.
    if (still.length === open.length) return 0
    open = still
  }
  return rest
}

/**
 * Divides `budget` (bits a second) among the members; their shares together never exceed it, and none is zero. First everybody's floor, then what
 * they want, then, as nobody needs the rest now, more for everybody, so that who begins to need it has it at once. Pure.
 */
export function divideBudget(budget: number, members: readonly SiteMember[]): Map<string, number> {
  const filling = members.map((member) => ({ ...member, weight: 2 ** (member.priority - 1), gets: 0 }))
  const floor = Math.min(floorBitsPerSecond, budget / (4 * Math.max(1, members.length)))
  let left = budget
  for (const goal of [() => floor, (member: Filling) => member.wants, () => Infinity]) {
    left = fill(filling, left, (member) => Math.min(member.atMost, Math.max(floor, goal(member))))
  }
  return new Map(filling.map(({ id, gets }) => [id, Math.max(1, Math.floor(gets))]))
}
