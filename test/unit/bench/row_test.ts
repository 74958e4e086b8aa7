import { expect, it } from 'vitest'
import { readBenchConfig } from '../../../bench/config.ts'
import { median, middleOf, percentile, percentileOf, reachedShare, tableOf } from '../../../bench/row.ts'
import { rowNamed } from './measured_rows.ts'

it('takes a middle and percentiles that were really measured', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2)
  expect(() => median([])).toThrow('no values')
  const values = Array.from({ length: 200 }, (_, index) => index + 1)
  expect(percentile(values, 0.99)).toBe(198)
  expect(percentile([7], 0.99)).toBe(7)
})

it('shows a row that misses its budget as such, and how near it comes to its limit', () => {
  expect(tableOf([rowNamed('rescan', { met: false })])).toContain(
    '| `rescan` | unchanged | 1.23 GB/s | rsync: 1 GB/s | 1.23 × | at least 2 × | **no** | 5 GB/s | 24.7 % |',
  )
  expect(tableOf([rowNamed('rescan', { bound: null })])).toContain('| yes | – | – |')
})

it('shows a row that failed, with its reason in one line', () => {
  const failure = { name: 'wan_sync', reason: 'tc ended with 2:\n  a | b\n' } as const
  expect(
    tableOf([rowNamed('rescan')], [failure])
      .split('\n')
      .at(-1),
  ).toBe('| `wan_sync` | **failed**: tc ended with 2:; a \\| b | – | – | – | – | **no** | – | – |')
})

it('says of each figure how often it was measured', () => {
  expect(middleOf([3, 1, 2])).toEqual({ value: 2, runs: [3, 1, 2], how: 'middle one of 3 runs' })
  expect(middleOf([3])).toEqual({ value: 3, runs: [3], how: 'measured once' })
  const { value, how } = percentileOf([1, 2, 3, 4], 99, 'looks')
  expect([value, how]).toEqual([4, expect.stringContaining('99th percentile of 4 looks in one run')])
})

it('reaches a share of the most or of the least that is possible', () => {
  expect(reachedShare({ value: 1, bound: { kind: 'MOST', value: 4 } })).toBe(0.25)
  expect(reachedShare({ value: 4, bound: { kind: 'LEAST', value: 1 } })).toBe(0.25)
  expect(reachedShare({ value: 4, bound: null })).toBeUndefined()
})

it('names an option that it cannot use', () => {
  expect(() => readBenchConfig(['--only', 'speed'], 'x.md')).toThrow('Unknown row "speed"')
  expect(() => readBenchConfig(['--runs', '0'], 'x.md')).toThrow('Cannot use "0" as --runs')
  expect(() => readBenchConfig(['--report', 'a.txt'], 'x')).toThrow(
    'write a name that ends with .md, or none',
  )
  expect(readBenchConfig(['--report', 'none'], 'x').reportPath).toBeUndefined()
})
