/**
 * `docs/performance.md`: the rows, what they were measured on, and each single run.
 * @module
 */
import { cpus, totalmem } from 'node:os'
import type { BenchConfig } from './config.ts'
import type { Row } from './row.ts'
import { run } from './command.ts'
import type { Parts } from './parts.ts'
import { partsInWords } from './parts.ts'
import { figure, tableOf } from './row.ts'

/** What the figures depend on. */
export interface HostFacts {
  processor: string
  cores: number
  memoryGib: number
  kernel: string
  node: string
  peers: string[]
}

/** The first line that a program says of its version. */
async function versionOf(program: string): Promise<string> {
  return (await run(program, ['--version'])).stdout.split('\n')[0] ?? program
}

/** Reads what the figures depend on. */
export async function hostFacts(): Promise<HostFacts> {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: (await run('uname', ['-r'])).stdout.trim(),
    node: process.version,
    peers: await Promise.all(['nbdcopy', 'nbdkit', 'rsync', 'fio'].map(versionOf)),
  }
}

/** The report, in Markdown. */
export async function reportOf(rows: readonly Row[], config: BenchConfig, parts: Parts): Promise<string> {
  const host = await hostFacts()
  const details = rows.map(
    (row) => `### \`${row.name}\`: ${row.what}

${row.limit}.

Single runs: ${row.runs.map(figure).join(', ')} ${row.unit}.
`,
  )
  return `# Performance

Written by \`npm run bench\`. Absolute figures are this machine's; the ratios are what to compare, each taken in one run with its peer. What is
measured is the product: the built agent and the replication server as processes of their own, mutual TLS, a hash of every block checked
before it is written, and acknowledgements only of what is durable.

Measured on ${host.cores} cores of ${host.processor}, ${host.memoryGib} GiB, Linux ${host.kernel}, Node ${host.node}; peers:
${host.peers.join(', ')}. Each figure is the middle one of ${config.runs}; disks are in memory.

${tableOf(rows)}

## Physical limits, and what bounds each figure
The parts, each by itself on one processor of this machine, measured in the same run: ${partsInWords(parts)}.

${details.join('\n')}`
}
