/**
 * Which records of initial replications are wanted, in which order, and pages of them. A token names the last record given by its value and its server, so
 * records that are added between two pages make none of the others appear twice or not at all.
 * @module
 */
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import { z } from 'zod'
import { InvalidInputError } from '../../domain/errors.ts'
import { parseJson } from '../request.ts'

/** Fields that are numbers: each can be bounded. */
const numberFields = [
  'initialReplicationDurationMinutes',
  'replicatedStorageBytes',
  'bandwidthThrottlingMbps',
  'averageBytesPerSecond',
  'peakBytesPerSecond',
  'wireBytes',
  'peakWireBytesPerSecond',
  'changedBytes',
  'heldBackSeconds',
  'heldBackBytes',
  'usedBytes',
  'fileSystemBytes',
  'forecastMinutes',
  'forecastLowMinutes',
  'forecastHighMinutes',
  'forecastCoveragePercent',
] as const
type NumberField = (typeof numberFields)[number]

/** What a listing can be ordered by: every field with one value. */
export const recordFields = [
  'sourceServerId',
  'hostname',
  'replicationStartedAt',
  'readyForTestAt',
  'replicationServerInstanceType',
  ...numberFields,
] as const
type RecordField = (typeof recordFields)[number]

interface Order {
  field: RecordField
  isDescending: boolean
}

const orders = recordFields.flatMap((field) => [field, `-${field}` as const])

const order = z.enum(orders, {
  error: `order by one of ${recordFields.join(', ')}, with a hyphen before it for the largest first`,
})

/** The order that is written as `text`. */
export function orderOf(text: z.infer<typeof order>): Order {
  const isDescending = text.startsWith('-')
  return { field: (isDescending ? text.slice(1) : text) as RecordField, isDescending }
}

const moment = z.union([z.iso.date(), z.iso.datetime({ offset: true })], {
  error: 'write a date as 2025-02-10, or a time as 2025-02-10T12:00:00Z',
})

/** `minWireBytes` and so on. */
type BoundName = `${'min' | 'max'}${Capitalize<NumberField>}`

function boundName(end: 'min' | 'max', field: NumberField): BoundName {
  return `${end}${field.charAt(0).toUpperCase()}${field.slice(1)}` as BoundName
}

const bound = z
  .string()
  .regex(/^\d{1,15}(\.\d{1,9})?$/, 'write a number, as 12 or 1.5')
  .pipe(z.coerce.number())
  .optional()

/** For each number the least and the largest that is wanted; what has no value is not. */
const bounds = Object.fromEntries(
  numberFields.flatMap((field) => [
    [boundName('min', field), bound.meta({ description: `The least ${field} that is wanted` })],
    [boundName('max', field), bound.meta({ description: `The largest ${field} that is wanted` })],
  ]),
) as Record<BoundName, typeof bound>

/** The filter and the order. */
export const recordQuery = z.strictObject({
  sourceServerId: z.string().min(1).max(64).optional().meta({ description: 'Only that of this server' }),
  replicationServerInstanceType: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({ description: 'Only those replicated by a server of exactly this type' }),
  ...bounds,
  hostname: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({ description: 'A part of the host name, in upper or lower case' }),
  from: moment.optional().meta({ description: 'Ready for test at this moment or later' }),
  to: moment.optional().meta({ description: 'Ready for test before this moment' }),
  order: order
    .default('readyForTestAt')
    .meta({ description: 'The field to order by, with a hyphen before it for the largest first' }),
})
type RecordQuery = z.infer<typeof recordQuery>

/** The records that `query` wants, in its order. Those without the value that they are ordered by come last. */
export function chosenRecords(
  records: readonly ReplicationRecord[],
  query: RecordQuery,
): ReplicationRecord[] {
  const { hostname } = query
  const wanted = orderOf(query.order)
  const [from, to] = [query.from, query.to].map((time) => time && new Date(time).toISOString())
  const part = hostname?.toLowerCase()
  const within = boundsOf(query)
  return records
    .filter(
      (record) =>
        (part === undefined || record.hostname.toLowerCase().includes(part)) &&
        isSame(query, record, 'sourceServerId') &&
        isSame(query, record, 'replicationServerInstanceType') &&
        within.every((one) => isWithin(record, one)) &&
        (from === undefined || record.readyForTestAt >= from) &&
        (to === undefined || record.readyForTestAt < to),
    )
    .sort((one, other) => compare(placeOf(one, wanted), placeOf(other, wanted), wanted))
}

function isSame(
  query: RecordQuery,
  record: ReplicationRecord,
  field: 'sourceServerId' | 'replicationServerInstanceType',
): boolean {
  return query[field] === undefined || query[field] === record[field]
}

/** What is asked of one number. */
interface Bounds {
  field: NumberField
  least: number
  most: number
}

/** Those that are asked for, found once: there are many numbers and thousands of records. */
function boundsOf(query: RecordQuery): Bounds[] {
  return numberFields.flatMap((field) => {
    const [least, most] = [query[boundName('min', field)], query[boundName('max', field)]]
    if (least === undefined && most === undefined) return []
    return [{ field, least: least ?? 0, most: most ?? Infinity }]
  })
}

function isWithin(record: ReplicationRecord, { field, least, most }: Bounds): boolean {
  const value = record[field]
  return value !== undefined && value >= least && value <= most
}

/** A place in a listing. */
interface Place {
  value: string | number | undefined
  id: string
}

function placeOf(record: ReplicationRecord, { field }: Order): Place {
  return { value: record[field], id: record.sourceServerId }
}

function compare(one: Place, other: Place, { isDescending }: Order): number {
  const sign = isDescending ? -1 : 1
  if (one.value !== other.value) {
    if (one.value === undefined) return 1
    if (other.value === undefined) return -1
    return one.value < other.value ? -sign : sign
  }
  if (one.id === other.id) return 0
  return one.id < other.id ? -sign : sign
}

const placeSchema = z.strictObject({
  field: z.string(),
  isDescending: z.boolean(),
  value: z.union([z.string(), z.number()]).optional(),
  id: z.string(),
})

/** A page of `chosen`, which is in `wanted` order, and the token of the next one. @throws InvalidInputError for a token of another order, or none of ours. */
export function pageOfRecords(
  chosen: readonly ReplicationRecord[],
  wanted: Order,
  { limit, nextToken }: { limit: number; nextToken?: string | undefined },
): { items: ReplicationRecord[]; nextToken?: string } {
  const last = nextToken === undefined ? undefined : lastOf(nextToken, wanted)
  const left =
    last === undefined
      ? chosen
      : chosen.filter((record) => compare(placeOf(record, wanted), last, wanted) > 0)
  const items = left.slice(0, limit)
  const end = items.at(-1)
  if (end === undefined || left.length <= limit) return { items }
  const token = JSON.stringify({ ...wanted, ...placeOf(end, wanted) })
  return { items, nextToken: Buffer.from(token).toString('base64url') }
}

function lastOf(nextToken: string, wanted: Order): Place {
  const found = placeSchema.safeParse(parseJson(Buffer.from(nextToken, 'base64url').toString())).data
  if (found === undefined || found.field !== wanted.field || found.isDescending !== wanted.isDescending)
    throw new InvalidInputError(
      'nextToken',
      'Cannot read nextToken: use the one of the page before, unchanged and with the same order, or none for the first page',
    )
  return { value: found.value, id: found.id }
}
