/**
 * A row of the benchmark: one figure of the budget table, beside the peer that was measured in the same run.
 * @module
 */

/** The rows of the budget table, in its order. */
export const rowNames = [
  'initial_sync',
  'wan_sync',
  'rescan',
  'write_load',
  'agent_cost',
  'replicator_cost',
  'snapshot',
  'control_plane',
] as const
/** One of them. */
export type RowName = (typeof rowNames)[number]

/** What bounds a figure on any machine, in its unit: the most or the least that it can be. Measured or computed in the run of the figure. */
export interface Bound {
  kind: 'MOST' | 'LEAST'
  value: number
}

/** A value, and the measurements that it comes from. */
export interface Measured {
  value: number
  /** Single measurements of `value`, in the order of measuring; what they are stands in `how`. */
  runs: number[]
  /** How often it was measured, and which of the measurements `value` is. */
  how: string
}

/** What a figure is compared with. */
export interface Compared {
  /** The program; null where the budget is absolute. */
  peer: string | null
  peerValue: number | null
  /** `value` by `peerValue`. */
  ratio: number | null
}

/** A measured figure. Several may stand for one row of the table; `what` tells them apart. */
export interface Row extends Measured, Compared {
  name: RowName
  what: string
  unit: string
  budget: string
  /** Null where there is no budget. */
  met: boolean | null
  /** Null where no number bounds it. */
  bound: Bound | null
  /** What bounds the figure, in words. */
  limit: string
}

/** The middle one of as many measurements as were asked for. */
export function middleOf(values: readonly number[]): Measured {
  const how = values.length === 1 ? 'measured once' : `middle one of ${values.length} runs`
  return { value: median(values), runs: [...values], how }
}

/** A percentile (0 to 100) of what one run has seen; its single figures are the middle, the 95th percentile and the most. */
export function percentileOf(values: readonly number[], percent: number, what: string): Measured {
  return {
    value: percentile(values, percent / 100),
    runs: [percentile(values, 0.5), percentile(values, 0.95), percentile(values, 1)],
    how: `${percent}th percentile of ${values.length} ${what} in one run (single figures: the middle, the 95th percentile, the most)`,
  }
}

/** No peer: the budget is absolute. */
export const alone: Compared = { peer: null, peerValue: null, ratio: null }

/** Beside a peer's value. */
export function beside(peer: string, value: number, peerValue: number): Compared {
  return { peer, peerValue, ratio: value / peerValue }
}

/** Share of what the limit allows that is reached: 1 is as good as any machine could be with these parts. */
export function reachedShare({ value, bound }: Pick<Row, 'value' | 'bound'>): number | undefined {
  if (bound === null) return undefined
  return bound.kind === 'MOST' ? value / bound.value : bound.value / value
}

/** The sum of `values`. */
export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** The middle of `values`; of an even number the lower middle, so that it was really measured. @throws Error of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]
  if (middle === undefined) throw new Error('Cannot tell the middle of no values')
  return middle
}

/** The value below which the share `portion` (0 to 1) of `values` lies. @throws Error of none. */
export function percentile(values: readonly number[], portion: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  const found = sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * portion) - 1)]
  if (found === undefined) throw new Error('Cannot tell a percentile of no values')
  return found
}

/** Three digits are as many as two runs agree on. */
export function figure(value: number): string {
  if (value === 0) return '0'
  return String(Number(value.toPrecision(3)))
}

/** A row that could not be measured. */
export interface Failure {
  name: RowName
  reason: string
}

/** The rows as a table for people, in Markdown; those that could not be measured at its end. */
export function tableOf(rows: readonly Row[], failures: readonly Failure[] = []): string {
  const lines = rows.map((row) => {
    const peer = row.peer === null ? '–' : `${row.peer}: ${figure(row.peerValue ?? Number.NaN)} ${row.unit}`
    const ratio = row.ratio === null ? '–' : `${figure(row.ratio)} ×`
    const share = reachedShare(row)
    const limit = row.bound === null ? '–' : `${figure(row.bound.value)} ${row.unit}`
    const reached = share === undefined ? '–' : `${figure(share * 100)} %`
    const met = row.met === null ? '–' : row.met ? 'yes' : '**no**'
    return `| \`${row.name}\` | ${row.what} | ${figure(row.value)} ${row.unit} | ${peer} | ${ratio} | ${row.budget} | ${met} | ${limit} | ${reached} |`
  })
  const failed = failures.map(
    ({ name, reason }) =>
      `| \`${name}\` | **failed**: ${inOneLine(reason)} | – | – | – | – | **no** | – | – |`,
  )
  return [
    '| row | what | Rehost | peer | ratio | budget | met | limit | reached |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    ...failed,
  ].join('\n')
}

/** A reason as a cell of a table. */
export function inOneLine(text: string): string {
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .replaceAll('|', '\\|')
}
