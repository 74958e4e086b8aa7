/**
 * What the demonstration found: the form that `--json FILE` writes, and the same for people.
 * @module
 */

export type Verdict = 'PASSED' | 'FAILED'

/** The summary. Field names are part of the public surface. */
export interface DemoSummary {
  /** The replica at the cutover's consistency point equals the source's disk as it was after one of its writes, byte for byte. */
  identical: boolean
  testVerdict: Verdict
  cutoverVerdict: Verdict
  /** Once finalized, the source has neither the agent's files nor its service. What the cutover machine has of it is part of its verdict. */
  agentRemoved: boolean
  /** Processes, volumes and files that should be gone and are not. */
  leftovers: string[]
  lagSecondsAtCutover: number
  steps: { name: string; seconds: number }[]
  bytes: {
    /** On the source's disk, not counting holes. */
    allocated: number
    /** On the wire, agent to replication server. */
    sent: number
  }
}

/** Whether everything that was to be shown was shown. */
export function isGood(summary: DemoSummary): boolean {
  return (
    summary.identical &&
    summary.testVerdict === 'PASSED' &&
    summary.cutoverVerdict === 'PASSED' &&
    summary.agentRemoved &&
    summary.leftovers.length === 0
  )
}

/** Bytes for people: `434.2 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/**
 * The summary as lines of text.
 * @param totalSeconds from begin to end: steps overlap, so their sum is no time that passed
 */
export function formatSummary(summary: DemoSummary, totalSeconds: number): string {
  const width = Math.max(...summary.steps.map((step) => step.name.length), 5)
  const rows = [...summary.steps, { name: 'total', seconds: totalSeconds }]
  return [
    'Summary',
    ...rows.map(({ name, seconds }) => `  ${name.padEnd(width)}  ${seconds.toFixed(1).padStart(7)} s`),
    `  replica identical to the source at the consistency point: ${summary.identical ? 'yes' : 'NO'}`,
    `  test machine ${summary.testVerdict}, cutover machine ${summary.cutoverVerdict}`,
    `  agent removed: ${summary.agentRemoved ? 'yes' : 'NO'}`,
    `  lag at cutover: ${summary.lagSecondsAtCutover.toFixed(1)} s`,
    `  ${formatBytes(summary.bytes.allocated)} on the source's disk, ${formatBytes(summary.bytes.sent)} on the wire`,
    `  left behind: ${summary.leftovers.length === 0 ? 'nothing' : summary.leftovers.join(', ')}`,
  ].join('\n')
}
