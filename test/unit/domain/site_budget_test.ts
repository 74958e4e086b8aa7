import { describe, expect, it } from 'vitest'
import type { Priority, SiteMember } from '../../../domain/site_budget.ts'
import { divideBudget, wantedBitsPerSecond } from '../../../domain/site_budget.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'

const mbit = 1_000_000

function member(id: string, wants: number, priority: Priority = 3, atMost = Infinity): SiteMember {
  return { id, wants: wants * mbit, priority, atMost: atMost * mbit }
}

function shares(budget: number, members: SiteMember[]): Record<string, number> {
  const divided = divideBudget(budget * mbit, members)
  return Object.fromEntries([...divided].map(([id, bits]) => [id, Math.round(bits / mbit)]))
}

describe('divideBudget()', () => {
  it.each([
    ['one server alone', 100, [member('a', Infinity)], { a: 100 }],
    ['two alike', 100, [member('a', Infinity), member('b', Infinity)], { a: 50, b: 50 }],
    ['priorities', 90, [member('a', Infinity, 4), member('b', Infinity, 3)], { a: 60, b: 30 }],
    ['what one does not use', 100, [member('a', Infinity), member('b', 10)], { a: 90, b: 10 }],
    ['an idle one', 100, [member('a', Infinity), member('b', 0)], { a: 99, b: 1 }],
    ['an own limit', 100, [member('a', Infinity, 5, 20), member('b', Infinity, 1)], { a: 20, b: 80 }],
    ['nobody wants much', 100, [member('a', 10), member('b', 10)], { a: 50, b: 50 }],
    ['a tiny site', 0.4, [member('a', Infinity), member('b', Infinity)], { a: 0, b: 0 }],
  ])('divides among %s', (_, budget, members, expected) => {
    expect(shares(budget, members)).toEqual(expected)
  })

  it('never gives more than there is, leaves nobody without, and wastes nothing, whoever wants what', () => {
    const seed = seedFor('site budget')
    const random = seededRandom(seed)
    for (let round = 0; round < 2000; round++) {
      const members = Array.from({ length: 1 + Math.floor(random() * 30) }, (_, index) =>
        member(
          String(index),
          random() < 0.3 ? Infinity : random() < 0.3 ? 0 : random() * 100,
          (1 + Math.floor(random() * 5)) as Priority,
          random() < 0.7 ? Infinity : random() * 50,
        ),
      )
      const budget = Math.ceil(random() * 1000 * mbit)
      const divided = divideBudget(budget, members)
      const sum = [...divided.values()].reduce((total, share) => total + share, 0)
      const where = `seed ${seed}, round ${round}`
      expect(sum, where).toBeLessThanOrEqual(budget + members.length)
      expect(Math.min(...divided.values()), where).toBeGreaterThanOrEqual(1)
      for (const { id, atMost } of members)
        expect(divided.get(id) ?? 0, where).toBeLessThanOrEqual(atMost + 1)
      const could = members.reduce((total, { atMost }) => total + atMost, 0)
      expect(sum, where).toBeGreaterThan(0.999 * Math.min(budget, could) - members.length - 1)
      // Of two with the same wishes the one with the higher priority never gets less.
      for (const one of members)
        for (const other of members)
          if (one.wants >= other.wants && one.atMost >= other.atMost && one.priority >= other.priority)
            expect((divided.get(one.id) ?? 0) + 1, where).toBeGreaterThanOrEqual(
              (divided.get(other.id) ?? 0) * 0.999,
            )
    }
  })
})

describe('wantedBitsPerSecond()', () => {
  it('gives what is not used to others within a few rounds, and back as soon as it is needed', () => {
    const budget = 100 * mbit
    // The first could send 30 at most, the second anything; later the first could send anything, too.
    let given = new Map<string, number>()
    const round = (couldSend: number) => {
      const use = (id: string, could: number) => {
        const own = given.get(id)
        return own === undefined ? undefined : Math.min(own, could)
      }
      const want = (id: string, could: number) =>
        wantedBitsPerSecond({ given: given.get(id), uses: use(id, could), isBusy: true })
      given = divideBudget(budget, [
        { id: 'a', priority: 3, atMost: Infinity, wants: want('a', couldSend) },
        { id: 'b', priority: 3, atMost: Infinity, wants: want('b', Infinity) },
      ])
    }
    for (let count = 0; count < 3; count++) round(20 * mbit)
    expect(given.get('a')).toBeLessThanOrEqual(30 * mbit)
    expect(given.get('b')).toBeGreaterThanOrEqual(70 * mbit)
    for (let count = 0; count < 3; count++) round(Infinity)
    expect(given.get('a')).toBeCloseTo(50 * mbit, -5)
  })
})
