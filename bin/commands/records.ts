/**
 * `rehost records`: how the initial replications went.
 * @module
 */
import type { Command } from 'commander'
import { Option } from 'commander'
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import { gigabytes } from '../../domain/record_attributes.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'
import { columnLines } from './columns.ts'

interface RecordOptions {
  hostname?: string
  from?: string
  to?: string
  type?: string
  min?: string[]
  max?: string[]
  order?: string
  json?: boolean
  csv?: boolean
}

const headings = ['SERVER', 'HOST', 'READY FOR TEST', 'MINUTES', 'GB', 'LIMIT', 'AVERAGE', 'PEAK', 'TYPE']

function megabytes(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? '' : `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
}

/** A row of the table. */
function row(record: ReplicationRecord): string[] {
  const { bandwidthThrottlingMbps: limit, initialReplicationDurationMinutes: minutes } = record
  return [
    record.sourceServerId,
    record.hostname,
    record.readyForTestAt,
    minutes === undefined ? '' : String(minutes),
    Number(gigabytes(record.replicatedStorageBytes)).toFixed(1),
    limit === 0 ? 'none' : `${limit} Mbit/s`,
    megabytes(record.averageBytesPerSecond),
    megabytes(record.peakBytesPerSecond),
    record.replicationServerInstanceType,
  ]
}

/** The filter and the order, as the service takes them. */
function queryOf(options: RecordOptions): URLSearchParams {
  const { hostname, from, to, order, type: replicationServerInstanceType } = options
  const named = { hostname, from, to, order, replicationServerInstanceType }
  const given = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  return new URLSearchParams([...given, ...boundsOf('min', options.min), ...boundsOf('max', options.max)])
}

/** `wireBytes=5` is `minWireBytes=5` for the service. @throws Error for what is no condition, and for a second one of a field: the service would heed one. */
function boundsOf(end: 'min' | 'max', conditions: readonly string[] = []): [string, string][] {
  const bounds = new Map<string, string>()
  for (const condition of conditions) {
    const [, field, value = ''] = /^(\w+)=(.+)$/.exec(condition) ?? []
    if (field === undefined)
      throw new Error(`Cannot read --${end} ${condition}: write a field and a number, such as wireBytes=5`)
    const name = `${end}${field.charAt(0).toUpperCase()}${field.slice(1)}`
    if (bounds.has(name)) throw new Error(`Cannot take --${end} ${condition}: ${field} has a bound already`)
    bounds.set(name, value)
  }
  return [...bounds]
}

/** Adds the command. */
export function addRecordCommand(program: Command): void {
  program
    .command('records')
    .description('how long initial replications took, over what link')
    .option('--hostname <part>', 'only of servers whose host name contains this')
    .option('--from <time>', 'ready for test at this date or time, or later')
    .option('--to <time>', 'ready for test before this date or time')
    .option('--type <type>', 'only of replication servers of this type')
    .option(
      '--min <field=value...>',
      'only where a number is at least this, such as initialReplicationDurationMinutes=60',
    )
    .option('--max <field=value...>', 'only where a number is at most this')
    .option(
      '--order <field>',
      'such as hostname, or -initialReplicationDurationMinutes for the longest first',
    )
    .option('--json', 'print JSON')
    .addOption(new Option('--csv', 'print CSV, with the names of the table in DynamoDB').conflicts('json'))
    .action(async (options: RecordOptions) => {
      const api = new ApiClient(await findAccess(process.env))
      const query = queryOf(options)
      if (options.csv === true) {
        query.set('format', 'csv')
        process.stdout.write(await api.getText(`/replication-records?${query.toString()}`))
        return
      }
      const records = await api.getAll<ReplicationRecord>(`/replication-records?${query.toString()}`)
      if (options.json === true) return say(JSON.stringify(records, null, 2))
      const lines =
        records.length === 0 ? ['There are no records'] : columnLines([headings, ...records.map(row)])
      say(lines.join('\n'))
    })
}
