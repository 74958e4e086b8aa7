/**
 * EventBridge's pattern language: which events a subscriber wants. Keys of a pattern are those of the event, nested as there; an array lists
 * what a value may be, and all keys must be met. Patterns come from `readEventPattern`, which refuses what EventBridge would refuse.
 * @module
 */
import { isInAddressRange } from './address_range.ts'

/** A value that is no object and no array. */
export type Scalar = string | number | boolean | null

type TextTest = string | { 'equals-ignore-case': string }
type Comparison = '<' | '<=' | '=' | '>=' | '>'

/** What `anything-but` may not be. */
export type Excluded =
  | string
  | number
  | (string | number)[]
  | { prefix: string | string[] }
  | { suffix: string | string[] }
  | { 'equals-ignore-case': string | string[] }
  | { wildcard: string | string[] }

/** One entry of an array: the value itself, or a test of it. */
export type Matcher =
  | Scalar
  | { prefix: TextTest }
  | { suffix: TextTest }
  | { 'anything-but': Excluded }
  | { numeric: (Comparison | number)[] }
  | { exists: boolean }
  | { 'equals-ignore-case': string }
  | { wildcard: string }
  | { cidr: string }

/** A pattern; without keys it takes every event. `$or` holds patterns of which one must be met. */
export interface EventPattern {
  [key: string]: Matcher[] | EventPattern | EventPattern[]
}

/** Whether `event` is one that `pattern` wants. Pure; takes time in proportion to the sizes of both. */
export function matchesPattern(pattern: EventPattern, event: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(pattern).every(([key, wanted]) => {
    if (key === '$or') return (wanted as EventPattern[]).some((one) => matchesPattern(one, event))
    const value = Object.hasOwn(event, key) ? event[key] : undefined
    return Array.isArray(wanted)
      ? matchesLeaf(wanted as Matcher[], value)
      : objectsOf(value).some((own) => matchesPattern(wanted, own))
  })
}

/** The objects that a nested pattern is held against: any of an array will do. What is absent counts as empty, so that `exists: false` is met. */
function objectsOf(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) {
    const own = value.flatMap(objectsOf)
    return own.length === 0 ? [{}] : own
  }
  return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : [{}]
}

/** The scalars of a value: its own, or those of an array at any depth. An object has none, as tests are of leaves only. */
function scalarsOf(value: unknown): Scalar[] {
  if (Array.isArray(value)) return value.flatMap(scalarsOf)
  if (value === undefined || (typeof value === 'object' && value !== null)) return []
  return [value as Scalar]
}

function matchesLeaf(wanted: readonly Matcher[], value: unknown): boolean {
  const scalars = scalarsOf(value)
  return wanted.some((matcher) => {
    const isAbsence =
      typeof matcher === 'object' && matcher !== null && 'exists' in matcher && !matcher.exists
    return isAbsence ? scalars.length === 0 : scalars.some((scalar) => matchesScalar(matcher, scalar))
  })
}

function matchesScalar(matcher: Matcher, value: Scalar): boolean {
  if (typeof matcher !== 'object' || matcher === null) return matcher === value
  if ('exists' in matcher) return matcher.exists
  if ('anything-but' in matcher) return !isExcluded(matcher['anything-but'], value)
  if ('numeric' in matcher) return typeof value === 'number' && isInRange(matcher.numeric, value)
  if (typeof value !== 'string') return false
  if ('prefix' in matcher) return testText(matcher.prefix, value, startsWith)
  if ('suffix' in matcher) return testText(matcher.suffix, value, endsWith)
  if ('wildcard' in matcher) return matchesWildcard(matcher.wildcard, value)
  if ('cidr' in matcher) return isInAddressRange(value, matcher.cidr)
  return sameIgnoringCase(matcher['equals-ignore-case'], value)
}

function isExcluded(excluded: Excluded, value: Scalar): boolean {
  if (typeof excluded !== 'object') return excluded === value
  if (Array.isArray(excluded)) return excluded.some((one) => one === value)
  if (typeof value !== 'string') return false
  if ('prefix' in excluded) return listOf(excluded.prefix).some((one) => startsWith(value, one))
  if ('suffix' in excluded) return listOf(excluded.suffix).some((one) => endsWith(value, one))
  if ('wildcard' in excluded) return listOf(excluded.wildcard).some((one) => matchesWildcard(one, value))
  return listOf(excluded['equals-ignore-case']).some((one) => sameIgnoringCase(one, value))
}

function listOf(texts: string | string[]): string[] {
  return typeof texts === 'string' ? [texts] : texts
}

function startsWith(value: string, part: string): boolean {
  return value.startsWith(part)
}

function endsWith(value: string, part: string): boolean {
  return value.endsWith(part)
}

function sameIgnoringCase(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function testText(test: TextTest, value: string, has: (value: string, part: string) => boolean): boolean {
  return typeof test === 'string'
    ? has(value, test)
    : has(value.toLowerCase(), test['equals-ignore-case'].toLowerCase())
}

function isInRange(range: readonly (Comparison | number)[], value: number): boolean {
  for (let at = 0; at < range.length; at += 2) {
    const bound = range[at + 1] as number
    if (!compares(range[at] as Comparison, value, bound)) return false
  }
  return true
}

function compares(comparison: Comparison, value: number, bound: number): boolean {
  switch (comparison) {
    case '<':
      return value < bound
    case '<=':
      return value <= bound
    case '=':
      return value === bound
    case '>=':
      return value >= bound
    case '>':
      return value > bound
  }
}

/** The pieces of a wildcard between its stars, `\*` and `\\` resolved. */
export function wildcardPieces(wildcard: string): string[] {
  const pieces = ['']
  for (let at = 0; at < wildcard.length; at++) {
    const own = wildcard[at] ?? ''
    if (own === '*') pieces.push('')
    else pieces[pieces.length - 1] += own === '\\' ? (wildcard[++at] ?? '') : own
  }
  return pieces
}

/** Each piece is taken at its first place after the one before: with stars between them no later place can do better. */
function matchesWildcard(wildcard: string, value: string): boolean {
  const pieces = wildcardPieces(wildcard)
  const first = pieces[0] ?? ''
  if (pieces.length === 1) return value === first
  const last = pieces.at(-1) ?? ''
  if (!value.startsWith(first)) return false
  let from = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = value.indexOf(piece, from)
    if (found === -1) return false
    from = found + piece.length
  }
  return value.length - last.length >= from && value.endsWith(last)
}
