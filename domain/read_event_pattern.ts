/**
 * Reading patterns that somebody wrote: what EventBridge would refuse is refused, with the place and what may stand there.
 * @module
 */
import type { EventPattern } from './event_pattern.ts'
import { readAddressRange } from './address_range.ts'
import { InvalidInputError } from './errors.ts'

/** As for a rule of EventBridge. */
export const maxPatternLength = 2048

/** No event is nested deeper than a few levels. */
const maxDepth = 20

/** Keys of an event that a pattern may name. Anything else would never match, which nobody means. */
const envelopeKeys = new Set([
  'version',
  'id',
  'detail-type',
  'source',
  'account',
  'time',
  'region',
  'resources',
  'detail',
])

const comparisons: readonly unknown[] = ['<', '<=', '=', '>=', '>']
const maxNumber = 5e9

type Where = readonly string[]

/** @throws InvalidInputError naming the place in `field`. */
function refuse(field: string, where: Where, problem: string): never {
  const place = where.length === 0 ? 'the pattern' : `${where.join('.')} of the pattern`
  throw new InvalidInputError(field, `Cannot read ${place}: ${problem}`)
}

/**
 * `value` as a pattern.
 * @param field what the error names as wrong.
 * @throws InvalidInputError for what is no pattern, with the place.
 */
export function readEventPattern(value: unknown, field = 'pattern'): EventPattern {
  const length = JSON.stringify(value)?.length ?? 0
  if (length > maxPatternLength)
    refuse(
      field,
      [],
      `${length} characters are more than ${maxPatternLength}; use wildcard or prefix, or two endpoints`,
    )
  readObject(field, [], value, envelopeKeys)
  return value as EventPattern
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readObject(field: string, where: Where, value: unknown, known?: ReadonlySet<string>): void {
  if (!isObject(value)) refuse(field, where, 'it must be an object, with an array at each leaf')
  if (where.length > maxDepth) refuse(field, where, `it is nested deeper than ${maxDepth} levels`)
  for (const [key, wanted] of Object.entries(value)) {
    const place = [...where, key]
    if (key === '$or') {
      if (!Array.isArray(wanted) || wanted.length === 0)
        refuse(field, place, 'it must be an array of patterns')
      wanted.forEach((one, at) => {
        if (isObject(one) && Object.keys(one).length === 0)
          refuse(field, [...place, String(at)], 'it is empty')
        readObject(field, [...place, String(at)], one, known)
      })
    } else if (known !== undefined && !known.has(key)) {
      refuse(field, place, `events have no such key; they have ${[...known].join(', ')}`)
    } else if (Array.isArray(wanted)) readLeaf(field, place, wanted)
    else if (isObject(wanted) && Object.keys(wanted).length === 0) refuse(field, place, 'it is empty')
    else readObject(field, place, wanted)
  }
}

function readLeaf(field: string, where: Where, wanted: readonly unknown[]): void {
  if (wanted.length === 0) refuse(field, where, 'the array is empty, so that nothing would match')
  for (const matcher of wanted) {
    if (Array.isArray(matcher)) refuse(field, where, 'an array may not hold another one')
    if (isObject(matcher)) readTest(field, where, matcher)
  }
}

function readTest(field: string, where: Where, test: Record<string, unknown>): void {
  const [name, ...more] = Object.keys(test)
  if (name === undefined || more.length > 0) refuse(field, where, 'a test is an object with one key')
  const place = [...where, name]
  const wanted = test[name]
  switch (name) {
    case 'prefix':
    case 'suffix':
      if (isObject(wanted) && Object.keys(wanted).join() === 'equals-ignore-case')
        return readText(field, [...place, 'equals-ignore-case'], wanted['equals-ignore-case'])
      return readText(field, place, wanted)
    case 'equals-ignore-case':
      return readText(field, place, wanted)
    case 'wildcard':
      return readWildcard(field, place, wanted)
    case 'cidr':
      if (typeof wanted !== 'string' || readAddressRange(wanted) === undefined)
        refuse(field, place, 'it must be a range of addresses, like 10.0.0.0/24 or 2001:db8::/32')
      return
    case 'exists':
      if (typeof wanted !== 'boolean') refuse(field, place, 'it must be true or false')
      return
    case 'numeric':
      return readNumeric(field, place, wanted)
    case 'anything-but':
      return readAnythingBut(field, place, wanted)
    default:
      return refuse(
        field,
        place,
        'there is no such test; there are prefix, suffix, anything-but, numeric, exists, equals-ignore-case, wildcard and cidr',
      )
  }
}

function readText(field: string, where: Where, value: unknown): void {
  if (typeof value !== 'string' || value === '') refuse(field, where, 'it must be a text that is not empty')
}

function readWildcard(field: string, where: Where, value: unknown): void {
  readText(field, where, value)
  const text = value as string
  if (/(?:^|[^\\])(?:\\\\)*\*\*/.test(text))
    refuse(field, where, 'two stars stand side by side; one does the same')
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '\\') continue
    const next = text[++at]
    if (next !== '*' && next !== '\\')
      refuse(field, where, 'after a backslash only a star or a backslash may stand')
  }
}

function readNumeric(field: string, where: Where, value: unknown): void {
  const rule = 'it must be one or two comparisons, like [">=", 0, "<", 10]'
  if (!Array.isArray(value) || (value.length !== 2 && value.length !== 4)) refuse(field, where, rule)
  value.forEach((own: unknown, at) => {
    if (at % 2 === 0 && !comparisons.includes(own)) refuse(field, where, rule)
    if (at % 2 === 1 && !(typeof own === 'number' && Math.abs(own) <= maxNumber))
      refuse(field, where, `${JSON.stringify(own)} is no number from -5e9 to 5e9`)
  })
  if (value.length === 2) return
  const [lower, low, upper, high] = value as [string, number, string, number]
  if (!lower.startsWith('>') || !upper.startsWith('<'))
    refuse(field, where, 'a range begins with > or >= and ends with < or <=')
  if (low >= high) refuse(field, where, 'the range is empty')
}

function readAnythingBut(field: string, where: Where, value: unknown): void {
  if (typeof value === 'string' || typeof value === 'number') return
  if (Array.isArray(value)) {
    const isScalars = value.length > 0 && value.every((own) => ['string', 'number'].includes(typeof own))
    if (!isScalars) refuse(field, where, 'it must be texts or numbers')
    return
  }
  if (!isObject(value)) refuse(field, where, 'it must be a text, a number, an array of these, or a test')
  const [name = '', ...more] = Object.keys(value)
  const place = [...where, name]
  if (more.length > 0 || !['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].includes(name))
    refuse(field, place, 'in it there may be one of prefix, suffix, equals-ignore-case and wildcard')
  const texts = Array.isArray(value[name]) ? (value[name] as unknown[]) : [value[name]]
  if (texts.length === 0) refuse(field, place, 'the array is empty')
  for (const text of texts) (name === 'wildcard' ? readWildcard : readText)(field, place, text)
}
