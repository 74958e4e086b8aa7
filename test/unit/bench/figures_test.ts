import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { figuresPath, readFigures, withOutcome, writeFigures } from '../../../bench/figures.ts'
import { reportOf } from '../../../bench/report.ts'
import { measurementOf, rowNamed } from './measured_rows.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-figures-'))
})
afterEach(() => rm(folder, { recursive: true }))

const empty = { measurements: [], failures: [] }
const monday = '2026-01-05T10:00:00.000Z'
const friday = '2026-01-09T10:00:00.000Z'
const failed = {
  name: 'rescan',
  at: friday,
  commit: 'def456',
  tookSeconds: 3,
  reason: 'rsync is gone',
} as const

describe('the figures of a report', () => {
  it('keeps rows that were measured at another time, in the order of the budget table', () => {
    let figures = withOutcome(empty, measurementOf('rescan', monday))
    figures = withOutcome(figures, measurementOf('snapshot', monday))
    figures = withOutcome(figures, measurementOf('initial_sync', friday))
    figures = withOutcome(figures, measurementOf('snapshot', friday))
    expect(figures.measurements.map(({ name, at }) => [name, at])).toEqual([
      ['initial_sync', friday],
      ['rescan', monday],
      ['snapshot', friday],
    ])
  })

  it('keeps what was measured of a row beside an attempt that failed, until one succeeds', () => {
    const figures = withOutcome(withOutcome(empty, measurementOf('rescan', monday)), failed)
    expect(figures).toEqual({ measurements: [measurementOf('rescan', monday)], failures: [failed] })
    expect(withOutcome(figures, measurementOf('rescan', friday))).toEqual({
      measurements: [measurementOf('rescan', friday)],
      failures: [],
    })
  })

  it('come back from their file as they were written', async () => {
    const path = figuresPath(join(folder, 'performance.md'))
    expect(path).toBe(join(folder, 'performance.json'))
    expect(await readFigures(path)).toEqual(empty)
    const figures = withOutcome(withOutcome(empty, measurementOf('rescan', monday)), failed)
    await writeFigures(path, figures)
    expect(await readFigures(path)).toEqual(figures)
    expect(await readFile(path, 'utf8')).toContain('"commit": "abc123"')
  })

  it('refuses a file that it cannot go on from, and says what to do', async () => {
    const path = join(folder, 'performance.json')
    await writeFile(path, JSON.stringify({ measurements: [{ name: 'speed' }], failures: [] }))
    await expect(readFigures(path)).rejects.toThrow(/Cannot go on from the figures in .*removing that file/s)
    await writeFile(path, '{')
    await expect(readFigures(path)).rejects.toThrow('--report none')
  })
})

describe('reportOf()', () => {
  it('says of each row when, of which commit and how often it was measured', () => {
    const other = { ...measurementOf('snapshot', friday).host, processor: 'Slow' }
    const change = { commit: 'def456', host: other, settings: { runs: 1, sizeMib: 512, loadSeconds: 10 } }
    let figures = withOutcome(empty, measurementOf('rescan', monday))
    figures = withOutcome(figures, measurementOf('snapshot', friday, change))
    const report = reportOf(figures)
    expect(report).toContain(
      `| \`rescan\` | ${monday} | abc123 | 1 | \`--runs 3 --size-mib 2048 --load-seconds 30\` | 12 s |`,
    )
    expect(report).toContain(
      `| \`snapshot\` | ${friday} | def456 | 2 | \`--runs 1 --size-mib 512 --load-seconds 10\` | 12 s |`,
    )
    expect(report).toContain('1. 2 cores of Fast,')
    expect(report).toContain('2. 2 cores of Slow,')
    expect(report).toContain('- `rescan`, `snapshot`: for each second of processor time reading')
    expect(report).toContain('1.23 GB/s: measured once. Single figures: 1.23 GB/s.')
    expect(report).toContain('The speed of one core. At most 5 GB/s is possible; 24.7 % of that is reached.')
  })

  it('tells of a failure, in the table only where there is no figure', () => {
    const beside = reportOf(withOutcome(withOutcome(empty, measurementOf('rescan', monday)), failed))
    const [table = '', rest = ''] = beside.split('## When')
    expect(table).toContain('1.23 GB/s')
    expect(table).not.toContain('failed')
    expect(rest).toContain(`| \`rescan\` | ${friday} | def456 | – | **failed**: rsync is gone | 3 s |`)
    expect(reportOf(withOutcome(empty, failed)).split('## When')[0]).toContain('**failed**: rsync is gone')
  })

  it('says where no number bounds a figure', () => {
    const rows = [rowNamed('rescan', { bound: null })]
    expect(reportOf(withOutcome(empty, measurementOf('rescan', monday, { rows })))).toContain(
      'The speed of one core. No number bounds it.',
    )
  })
})
