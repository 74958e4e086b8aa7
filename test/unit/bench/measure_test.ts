import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Measure } from '../../../bench/measure.ts'
import type { RowName } from '../../../bench/row.ts'
import { measureRows } from '../../../bench/measure.ts'
import { Profiler } from '../../../bench/profiler.ts'
import { rowNames } from '../../../bench/row.ts'
import { about, rowNamed } from './measured_rows.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-measure-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Measures `only` by `own`; every other row would be measured well. */
async function measure(only: RowName[], own: Partial<Record<RowName, Measure>>) {
  const told: string[] = []
  const measures = {} as Record<RowName, Measure>
  for (const name of rowNames) measures[name] = own[name] ?? (() => Promise.resolve([rowNamed(name)]))
  const outcomes = await measureRows({
    only,
    measures,
    context: {
      root: '/',
      folder,
      runs: 1,
      sizeBytes: 1,
      loadSeconds: 1,
      guestRefusal: undefined,
      parts: about.parts,
      profiler: new Profiler(folder, () => undefined, '/nonexistent/perf'),
      say: () => undefined,
    },
    about,
    onOutcome: (outcome) => {
      told.push('reason' in outcome ? `${outcome.name}: ${outcome.reason}` : outcome.name)
      return Promise.resolve()
    },
  })
  return { outcomes, told }
}

it('goes on after a row that fails, tells of each at once, and gives back what the failed one took', async () => {
  let left = ''
  const { outcomes, told } = await measure(['initial_sync', 'rescan', 'snapshot'], {
    rescan: async ({ folder: own }) => {
      left = join(own, 'random.img')
      await writeFile(left, 'large')
      throw new Error('rsync is gone')
    },
  })
  expect(told).toEqual(['initial_sync', 'rescan: rsync is gone', 'snapshot'])
  expect(outcomes.map((outcome) => ('rows' in outcome ? outcome.rows : outcome.reason))).toEqual([
    [rowNamed('initial_sync')],
    'rsync is gone',
    [rowNamed('snapshot')],
  ])
  expect(left).not.toBe('')
  expect(existsSync(left)).toBe(false)
})

it('takes a figure that is no number for a failure: as JSON it would be missing', async () => {
  const { told } = await measure(['rescan'], {
    rescan: () => Promise.resolve([rowNamed('rescan', { ratio: Number.NaN })]),
  })
  expect(told).toEqual(['rescan: "unchanged" was not measured: value 1.2345, peer 1, ratio NaN'])
})
