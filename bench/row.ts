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

/** A measured figure. Several may stand for one row of the table; `what` tells them apart. */
export interface Row {
  name: RowName
  what: string
  value: number
  unit: string
  /** The program that it is compared with; null where the budget is absolute. */
  peer: string | null
  peerValue: number | null
  /** `value` by `peerValue`. */
  ratio: number | null
  budget: string
  met: boolean
  /** Each single measurement of `value`, in the order of measuring. */
  runs: number[]
  /** What bounds the figure on any machine, and how near it comes. */
  limit: string
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

/** The rows as a table for people, in Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const peer = row.peer === null ? '–' : `${row.peer}: ${figure(row.peerValue ?? Number.NaN)} ${row.unit}`
    const ratio = row.ratio === null ? '–' : `${figure(row.ratio)} ×`
    const met = row.met ? 'yes' : '**no**'
    return `| \`${row.name}\` | ${row.what} | ${figure(row.value)} ${row.unit} | ${peer} | ${ratio} | ${row.budget} | ${met} |`
  })
  return [
    '| row | what | Rehost | peer | ratio | budget | met |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}
