/**
 * `docs/performance.md`: the rows, what and when they were measured, and each single run.
 * @module
 */
import type { Figures, Measurement } from './figures.ts'
import type { HostFacts } from './host.ts'
import type { Row } from './row.ts'
import { partsInWords } from './parts.ts'
import { profileTable } from './profile.ts'
import { figure, inOneLine, reachedShare, tableOf } from './row.ts'

function hostInWords({ processor, cores, memoryGib, kernel, node, peers }: HostFacts): string {
  return `${cores} cores of ${processor}, ${memoryGib} GiB, Linux ${kernel}, Node ${node}; peers: ${peers.join(', ')}`
}

/** How near a figure comes to what bounds it. */
function reachedInWords(row: Row): string {
  const share = reachedShare(row)
  if (row.bound === null || share === undefined) return 'No number bounds it.'
  const kind = row.bound.kind === 'MOST' ? 'At most' : 'At least'
  return `${kind} ${figure(row.bound.value)} ${row.unit} is possible; ${figure(share * 100)} % of that is reached.`
}

function detailOf(row: Row): string {
  return `### \`${row.name}\`: ${row.what}

${row.limit}. ${reachedInWords(row)}

${figure(row.value)} ${row.unit}: ${row.how}. Single figures: ${row.runs.map(figure).join(', ')} ${row.unit}.
`
}

/** The parts of each run, with the rows that were measured in it. */
function partsOf(measurements: readonly Measurement[]): string[] {
  const rowsOf = new Map<string, string[]>()
  for (const { name, parts } of measurements) {
    const words = partsInWords(parts)
    rowsOf.set(words, [...(rowsOf.get(words) ?? []), `\`${name}\``])
  }
  return [...rowsOf].map(([words, names]) => `- ${names.join(', ')}: ${words}.`)
}

/** Rows may come from several machines: each is told once. */
function hostsOf(measurements: readonly Measurement[]): string[] {
  return [...new Set(measurements.map(({ host }) => hostInWords(host)))]
}

function whenTable(figures: Figures, hosts: readonly string[]): string {
  const measured = figures.measurements.map(({ name, at, commit, tookSeconds, settings, host }) => {
    const { runs, sizeMib, loadSeconds } = settings
    const machine = hosts.indexOf(hostInWords(host)) + 1
    return `| \`${name}\` | ${at} | ${commit} | ${machine} | \`--runs ${runs} --size-mib ${sizeMib} --load-seconds ${loadSeconds}\` | ${Math.round(tookSeconds)} s |`
  })
  const failed = figures.failures.map(
    ({ name, at, commit, tookSeconds, reason }) =>
      `| \`${name}\` | ${at} | ${commit} | – | **failed**: ${inOneLine(reason)} | ${Math.round(tookSeconds)} s |`,
  )
  return [
    '| row | measured | commit | machine | asked for | took |',
    '| --- | --- | --- | --- | --- | --- |',
    ...measured,
    ...failed,
  ].join('\n')
}

function profilesOf(measurements: readonly Measurement[]): string {
  const told = measurements.flatMap(({ name, profiles }) =>
    profiles.map((profile) => `### \`${name}\`\n\n${profileTable(profile)}\n`),
  )
  return told.length === 0 ? 'None was taken: `perf` could not be run.\n' : told.join('\n')
}

/** Which budgets are not met, so that nobody has to look for them. */
function missedInWords(rows: readonly Row[]): string {
  const withBudget = rows.filter(({ met }) => met !== null)
  const missed = withBudget.filter(({ met }) => met === false)
  if (missed.length === 0) return `All ${withBudget.length} budgets are met.`
  const list = missed.map(({ name, what }) => `- \`${name}\`: ${what}`).join('\n')
  return `${withBudget.length - missed.length} of ${withBudget.length} budgets are met. Not met, and explained by the limits and the profiles below:\n\n${list}`
}

/** The report, in Markdown. */
export function reportOf(figures: Figures): string {
  const { measurements } = figures
  const rows = measurements.flatMap((measurement) => measurement.rows)
  // A row that was measured before and failed since keeps its figures; the second table tells of the failure.
  const unmeasured = figures.failures.filter(({ name }) => measurements.every((other) => other.name !== name))
  const hosts = hostsOf(measurements)
  return `# Performance

Written by \`npm run bench\`. Absolute figures are a machine's; the ratios are what to compare, each taken in one run with its peer. What is
measured is the product: the built agent and the replication server as processes of their own, mutual TLS, a hash of every block checked
before it is written, and acknowledgements only of what is durable. Disks are in memory. How often each
figure was measured stands below; its peer ran as often, in the same run.

${tableOf(rows, unmeasured)}

${missedInWords(rows)}

"Limit" is what bounds the figure where that is a number, "reached" how much of it: see below.

## When each row was measured
${whenTable(figures, hosts)}

${hosts.map((host, index) => `${index + 1}. ${host}.`).join('\n')}

## Physical limits, and what bounds each figure
The parts of the path, each by itself on one processor, measured in the same run as the row:

${partsOf(measurements).join('\n')}

${rows.map(detailOf).join('\n')}
## Profiles
Taken in a run of its own after the measured ones, because looking costs some percent.

${profilesOf(measurements)}`
}
