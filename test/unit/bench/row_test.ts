import { expect, it } from 'vitest'
import { readBenchConfig } from '../../../bench/config.ts'
import { median, percentile, tableOf } from '../../../bench/row.ts'

it('takes a middle and percentiles that were really measured', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2)
  expect(() => median([])).toThrow('no values')
  const values = Array.from({ length: 200 }, (_, index) => index + 1)
  expect(percentile(values, 0.99)).toBe(198)
  expect(percentile([7], 0.99)).toBe(7)
})

it('shows a row that misses its budget as such', () => {
  const row = {
    name: 'rescan',
    what: 'unchanged',
    value: 1.2345,
    unit: 'GB/s',
    peer: 'rsync',
    peerValue: 1,
    ratio: 1.2345,
    budget: 'at least 2 ×',
    met: false,
    runs: [1.2345],
    limit: 'one core',
  } as const
  expect(tableOf([{ ...row, runs: [...row.runs] }])).toContain(
    '| `rescan` | unchanged | 1.23 GB/s | rsync: 1 GB/s | 1.23 × | at least 2 × | **no** |',
  )
})

it('names an option that it cannot use', () => {
  expect(() => readBenchConfig(['--only', 'speed'], 'x')).toThrow('Unknown row "speed"')
  expect(() => readBenchConfig(['--runs', '0'], 'x')).toThrow('Cannot use "0" as --runs')
  expect(readBenchConfig(['--report', 'none'], 'x').reportPath).toBeUndefined()
})
