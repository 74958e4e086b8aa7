/**
 * What the benchmark is told on its command line.
 * @module
 */
import { parseArgs } from 'node:util'
import { InvalidInputError } from '../domain/errors.ts'
import type { RowName } from './row.ts'
import { rowNames } from './row.ts'

/** The benchmark's settings. */
export interface BenchConfig {
  only: readonly RowName[]
  runs: number
  sizeBytes: number
  loadSeconds: number
  /** Where the rows are written as JSON. */
  jsonPath: string | undefined
  /** Where the report is written, and beside it, as JSON, what it is made of. */
  reportPath: string | undefined
  /** Why there is no Debian disk to measure with; undefined when there is one. */
  guestRefusal: string | undefined
  /** Where to measure: this process is the one in the namespaces. Undefined: it is the one that makes them. */
  insideFolder: string | undefined
}

/** Help, for people. */
export const helpText = `Usage: npm run bench -- [options]

  --only A,B       only these rows: ${rowNames.join(', ')}; the report keeps what it has of the others
  --runs N         measurements of each figure, default 3; the middle one counts
  --size-mib N     size of the disk with random data, default 2048
  --load-seconds N how long loads last, default 30
  --json FILE      write the rows as JSON
  --report FILE    write the report, default docs/performance.md, and its figures beside it (.json); "none" writes none
`

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidInputError(name, `Cannot use "${text}" as --${name}: write a whole number above 0`)
}

/** The figures of a report stand in a file of the same name that ends with .json. */
function readReportPath(text: string): string | undefined {
  if (text === 'none' || text.endsWith('.md')) return text === 'none' ? undefined : text
  throw new InvalidInputError(
    'report',
    `Cannot use "${text}" as --report: write a name that ends with .md, or none`,
  )
}

/** @throws InvalidInputError naming the option that is wrong. */
export function readBenchConfig(argv: readonly string[], defaultReportPath: string): BenchConfig {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      runs: { type: 'string', default: '3' },
      'size-mib': { type: 'string', default: '2048' },
      'load-seconds': { type: 'string', default: '30' },
      json: { type: 'string' },
      report: { type: 'string', default: defaultReportPath },
      inside: { type: 'string' },
      'guest-refusal': { type: 'string' },
    },
  })
  const asked = values.only?.split(',') ?? rowNames
  const only = asked.map((name) => {
    const known = rowNames.find((candidate) => candidate === name)
    if (known === undefined)
      throw new InvalidInputError('only', `Unknown row "${name}": there are ${rowNames.join(', ')}`)
    return known
  })
  return {
    only,
    runs: positive('runs', values.runs),
    sizeBytes: positive('size-mib', values['size-mib']) * 2 ** 20,
    loadSeconds: positive('load-seconds', values['load-seconds']),
    jsonPath: values.json,
    reportPath: readReportPath(values.report),
    guestRefusal: values['guest-refusal'],
    insideFolder: values.inside,
  }
}
