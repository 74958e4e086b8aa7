import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EventPattern } from '../../../domain/event_pattern.ts'
import { matchesPattern } from '../../../domain/event_pattern.ts'
import { maxPatternLength, readEventPattern } from '../../../domain/read_event_pattern.ts'
import { seedFor } from '../../fixtures/seed.ts'

/** Of the first seed document: the event that MGN sends, and the rule that its recorder has. */
const sample = {
  version: '0',
  id: 'fd9d9cd7-1d38-3059-dc84-1bd3f3e32d4',
  'detail-type': 'MGN Source Server Lifecycle State Change',
  source: 'aws.mgn',
  account: '123456789012',
  time: '2025-02-10T04:08:22Z',
  region: 'us-east-1',
  resources: ['arn:aws:mgn:us-east-1:123456789012:source-server/s-3af58bc13a359716b'],
  detail: { state: 'READY_FOR_TEST' },
}

const event = {
  source: 'rehost',
  resources: ['arn:one', 'arn:two'],
  detail: {
    state: 'STALLED',
    lag: 12.5,
    isGood: true,
    none: null,
    ip: '10.1.2.3',
    ip6: '2001:db8::a:1',
    empty: [],
    tags: ['a', 'b'],
    disks: [
      { name: 'sda', size: 1 },
      { name: 'sdb', size: 2 },
    ],
  },
}

/** Of a value of the event: what the array says, and whether it is met. */
const leaves: [key: string, wanted: unknown[], isMet: boolean][] = [
  ['state', ['STALLED'], true],
  ['state', ['stalled'], false],
  ['state', ['OTHER', 'STALLED'], true],
  ['state', [{ prefix: 'STA' }], true],
  ['state', [{ prefix: 'TAL' }], false],
  ['state', [{ prefix: { 'equals-ignore-case': 'sta' } }], true],
  ['state', [{ suffix: 'LED' }], true],
  ['state', [{ suffix: 'LE' }], false],
  ['state', [{ suffix: { 'equals-ignore-case': 'led' } }], true],
  ['state', [{ 'equals-ignore-case': 'stalled' }], true],
  ['state', [{ 'equals-ignore-case': 'stalle' }], false],
  ['state', [{ 'anything-but': 'STALLED' }], false],
  ['state', [{ 'anything-but': ['A', 'B'] }], true],
  ['state', [{ 'anything-but': ['A', 'STALLED'] }], false],
  ['state', [{ 'anything-but': { prefix: 'ST' } }], false],
  ['state', [{ 'anything-but': { prefix: ['X', 'Y'] } }], true],
  ['state', [{ 'anything-but': { suffix: ['X', 'ED'] } }], false],
  ['state', [{ 'anything-but': { 'equals-ignore-case': ['x', 'stalled'] } }], false],
  ['state', [{ 'anything-but': { wildcard: 'S*D' } }], false],
  ['state', [{ 'anything-but': 1 }], true],
  ['missing', [{ 'anything-but': 'x' }], false],
  ['ip', [{ cidr: '10.1.2.0/24' }], true],
  ['ip', [{ cidr: '10.1.3.0/24' }], false],
  ['ip', [{ cidr: '10.1.2.2/31' }], true],
  ['ip', [{ cidr: '10.1.2.4/30' }], false],
  ['ip', [{ cidr: '0.0.0.0/0' }], true],
  ['ip', [{ cidr: '::/0' }], false],
  ['ip6', [{ cidr: '2001:db8::/32' }], true],
  ['ip6', [{ cidr: '2001:DB8:0:0::a:0/112' }], true],
  ['ip6', [{ cidr: '2001:db8::a:2/128' }], false],
  ['ip6', [{ cidr: '0.0.0.0/0' }], false],
  ['state', [{ cidr: '0.0.0.0/0' }], false],
  ['lag', [{ cidr: '0.0.0.0/0' }], false],
  ['lag', [12.5], true],
  ['lag', ['12.5'], false],
  ['lag', [{ numeric: ['>', 12] }], true],
  ['lag', [{ numeric: ['>', 12.5] }], false],
  ['lag', [{ numeric: ['>=', 12.5, '<', 13] }], true],
  ['lag', [{ numeric: ['>', 0, '<=', 12] }], false],
  ['lag', [{ numeric: ['=', 12.5] }], true],
  ['state', [{ numeric: ['>', 0] }], false],
  ['isGood', [true], true],
  ['isGood', ['true'], false],
  ['none', [null], true],
  ['none', [{ exists: true }], true],
  ['missing', [null], false],
  ['missing', [{ exists: false }], true],
  ['missing', [{ exists: true }], false],
  ['missing', ['x', { exists: false }], true],
  ['state', [{ exists: false }], false],
  ['empty', [{ exists: false }], true],
  ['empty', [{ exists: true }], false],
  ['disks', [{ exists: true }], false],
  ['tags', ['b'], true],
  ['tags', ['c'], false],
  ['tags', [{ 'anything-but': 'a' }], true],
  ['state', [{ wildcard: 'S*L*D' }], true],
  ['state', [{ wildcard: '*' }], true],
  ['state', [{ wildcard: 'STALLED*' }], true],
  ['state', [{ wildcard: 'S*LEDLED' }], false],
  ['state', [{ wildcard: 'STAL\\*' }], false],
  ['toString', [{ exists: true }], false],
]

describe('matchesPattern()', () => {
  it('takes the event of MGN by the rule of its recorder, and no other state', () => {
    const rule = {
      'detail-type': ['MGN Source Server Lifecycle State Change'],
      source: ['aws.mgn'],
      detail: { state: ['READY_FOR_TEST'] },
    }
    expect(matchesPattern(readEventPattern(rule), sample)).toBe(true)
    expect(matchesPattern(readEventPattern(rule), { ...sample, detail: { state: 'TESTING' } })).toBe(false)
    expect(matchesPattern(readEventPattern(rule), { ...sample, source: 'rehost' })).toBe(false)
    expect(matchesPattern(readEventPattern({}), sample)).toBe(true)
  })

  it.each(leaves)('%s %j is met: %s', (key, wanted, isMet) => {
    expect(matchesPattern(readEventPattern({ detail: { [key]: wanted } }), event)).toBe(isMet)
  })

  it('wants every key, one of each $or, and all of one element of an array', () => {
    const met = (pattern: unknown) => matchesPattern(readEventPattern(pattern), event)
    expect(met({ source: ['rehost'], detail: { state: ['OTHER'] } })).toBe(false)
    expect(
      met({ source: ['rehost'], $or: [{ detail: { state: ['OTHER'] } }, { resources: ['arn:two'] }] }),
    ).toBe(true)
    expect(met({ source: ['other'], $or: [{ resources: ['arn:two'] }] })).toBe(false)
    expect(met({ detail: { $or: [{ lag: [1] }, { state: ['STALLED'] }] } })).toBe(true)
    expect(met({ detail: { disks: { name: ['sdb'], size: [2] } } })).toBe(true)
    expect(met({ detail: { disks: { name: ['sda'], size: [2] } } })).toBe(false)
    expect(met({ detail: { nothing: { here: [{ exists: false }] } } })).toBe(true)
    expect(met({ detail: { nothing: { here: ['x'] } } })).toBe(false)
  })
})

const refused: [pattern: unknown, words: string][] = [
  [[], 'the pattern: it must be an object'],
  ['x', 'the pattern: it must be an object'],
  [null, 'the pattern: it must be an object'],
  [{ sauce: ['x'] }, 'sauce of the pattern: events have no such key'],
  [{ source: 'aws.mgn' }, 'source of the pattern: it must be an object, with an array at each leaf'],
  [{ source: [] }, 'source of the pattern: the array is empty'],
  [{ detail: {} }, 'detail of the pattern: it is empty'],
  [{ detail: { state: [['x']] } }, 'detail.state of the pattern: an array may not hold another one'],
  [{ detail: { state: [{}] } }, 'a test is an object with one key'],
  [{ detail: { state: [{ prefix: 'a', suffix: 'b' }] } }, 'a test is an object with one key'],
  [{ detail: { state: [{ regex: 'a' }] } }, 'detail.state.regex of the pattern: there is no such test'],
  [{ detail: { state: [{ prefix: '' }] } }, 'a text that is not empty'],
  [{ detail: { state: [{ prefix: 1 }] } }, 'a text that is not empty'],
  [{ detail: { state: [{ exists: 'true' }] } }, 'true or false'],
  [{ detail: { state: [{ wildcard: 'a**b' }] } }, 'two stars'],
  [{ detail: { state: [{ wildcard: 'a\\b' }] } }, 'after a backslash'],
  [{ detail: { state: [{ wildcard: 'a\\' }] } }, 'after a backslash'],
  [{ detail: { lag: [{ numeric: [] }] } }, 'one or two comparisons'],
  [{ detail: { lag: [{ numeric: ['>', '1'] }] } }, 'is no number from -5e9 to 5e9'],
  [{ detail: { lag: [{ numeric: ['!', 1] }] } }, 'one or two comparisons'],
  [{ detail: { lag: [{ numeric: ['<', 1, '>', 0] }] } }, 'a range begins with'],
  [{ detail: { lag: [{ numeric: ['>', 5, '<', 5] }] } }, 'the range is empty'],
  [{ detail: { lag: [{ numeric: ['>', 6e9] }] } }, 'is no number'],
  [{ detail: { state: [{ 'anything-but': [] }] } }, 'it must be texts or numbers'],
  [{ detail: { state: [{ 'anything-but': true }] } }, 'a text, a number'],
  [{ detail: { state: [{ 'anything-but': { exists: true } }] } }, 'one of prefix, suffix'],
  [{ detail: { state: [{ 'anything-but': { prefix: [] } }] } }, 'the array is empty'],
  ...[
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.256/8',
    '10.0.0/8',
    '010.0.0.0/8',
    '::/129',
    '1::2::3/8',
    ':1/8',
    '1:2/8',
    4,
  ].map((cidr): [unknown, string] => [{ detail: { ip: [{ cidr }] } }, 'a range of addresses']),
  [{ $or: [] }, '$or of the pattern: it must be an array of patterns'],
  [{ $or: [{}] }, '$or.0 of the pattern: it is empty'],
  [{ $or: [{ sauce: ['x'] }] }, '$or.0.sauce of the pattern: events have no such key'],
  [{ source: ['x'.repeat(maxPatternLength)] }, 'are more than 2048'],
]

describe('readEventPattern()', () => {
  it.each(refused)('refuses %j', (pattern, words) => {
    expect(() => readEventPattern(pattern)).toThrow(words)
  })

  it('refuses what is nested without end', () => {
    let deep: unknown = ['x']
    for (let level = 0; level < 40; level++) deep = { a: deep }
    expect(() => readEventPattern({ detail: deep })).toThrow('nested deeper')
  })
})

const scalar = fc.oneof(fc.string(), fc.integer({ min: -1000, max: 1000 }), fc.boolean(), fc.constant(null))
const key = fc.string({ minLength: 1, maxLength: 6 }).filter((name) => name !== '$or' && name !== '__proto__')
const detail = fc.dictionary(
  key,
  fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }), fc.dictionary(key, scalar, { maxKeys: 3 })),
  { maxKeys: 4 },
)

/** The pattern that names every value of `own` as it is. */
function exactly(own: Record<string, unknown>): EventPattern {
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, value]): [string, EventPattern[string]][] => {
      if (Array.isArray(value))
        return [[name, value.length === 0 ? [{ exists: false }] : (value as string[])]]
      if (typeof value !== 'object' || value === null) return [[name, [value as string]]]
      return Object.keys(value).length === 0 ? [] : [[name, exactly(value as Record<string, unknown>)]]
    }),
  )
}

describe('any pattern', () => {
  it('that names every value is met, and is not once one of them is another', () => {
    const seed = seedFor('patterns')
    fc.assert(
      fc.property(detail, fc.nat(), (own, pick) => {
        const wanted = exactly(own)
        const all = Object.keys(wanted).length === 0 ? {} : { detail: wanted }
        if (JSON.stringify(all).length > maxPatternLength) return
        const pattern = readEventPattern(all)
        expect(matchesPattern(pattern, { detail: own })).toBe(true)
        const names = Object.keys(wanted)
        const name = names[pick % Math.max(1, names.length)]
        if (name === undefined) return
        // A value that is in no event of this test.
        const changed = { ...own, [name]: 'neither this nor that' }
        expect(matchesPattern(pattern, { detail: changed })).toBe(false)
      }),
      { seed, numRuns: 500 },
    )
  })

  it('with a wildcard takes what the same regular expression takes', () => {
    const seed = seedFor('wildcards')
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '\\'), maxLength: 8 })
    const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '*', '\\'), maxLength: 3 }), {
      minLength: 1,
      maxLength: 4,
    })
    fc.assert(
      fc.property(pieces, letters, (parts, text) => {
        const escaped = parts.map((part) => part.replace(/[*\\]/g, '\\$&'))
        const inner = escaped.filter((part, at) => part !== '' || at === 0 || at === escaped.length - 1)
        const wildcard = inner.join('*')
        if (wildcard === '' || wildcard === '**') return
        const source = parts
          .filter((part, at) => part !== '' || at === 0 || at === parts.length - 1)
          .map((part) => part.replace(/[*\\]/g, '\\$&'))
          .join('.*')
        const pattern = readEventPattern({ detail: { it: [{ wildcard }] } })
        expect(matchesPattern(pattern, { detail: { it: text } })).toBe(
          new RegExp(`^${source}$`, 's').test(text),
        )
      }),
      { seed, numRuns: 2000 },
    )
  })

  it('is read or refused, never anything else, whatever it is', () => {
    const seed = seedFor('any JSON')
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.jsonValue({ maxDepth: 4 }), (json, own) => {
        let pattern: EventPattern
        try {
          pattern = readEventPattern({ detail: json })
        } catch (error) {
          expect((error as Error).name).toBe('InvalidInputError')
          return
        }
        expect(typeof matchesPattern(pattern, { detail: own })).toBe('boolean')
      }),
      { seed, numRuns: 2000 },
    )
  })
})
