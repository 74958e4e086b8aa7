/**
 * Where things stand in the kernel's binary trace, as the kernel itself describes it: the page in `events/header_page`, the event in its
 * `format`. Both exist since Linux 2.6.31, as do the binary rings.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { join } from 'node:path'

/** A field: where it begins, and how long it is. */
export interface TraceField {
  offset: number
  size: number
}

/** Where things stand in an event of the block layer. */
export interface EventLayout {
  /** Number of the event, in the first field of each record's data. */
  eventId: number
  commonType: TraceField
  dev: TraceField
  sector: TraceField
  sectorCount: TraceField
  /** Kind of the request as text: `R…` for reads, `D…` for discards. */
  kind: TraceField
}

/** The events that tell of discards before and beside requests. */
export interface DiscardLayouts {
  /** One was queued. */
  queued: EventLayout
  /** One ended that never became a request. */
  ended: EventLayout
}

/** What is needed to read pages of `block_rq_complete`. */
export interface TraceLayout extends EventLayout {
  pageBytes: number
  /** Where a page says how much of it is used. */
  commit: TraceField
  /** Where its records begin. */
  dataOffset: number
  /** Undefined where the kernel has no such events. */
  discards?: DiscardLayouts | undefined
}

/** The fields of a description by name: `field:sector_t sector;	offset:16;	size:8;	signed:0;` */
function fieldsOf(text: string): Map<string, TraceField> {
  const fields = new Map<string, TraceField>()
  for (const match of text.matchAll(/field:([^;]+);\s*offset:(\d+);\s*size:(\d+);/g)) {
    const name = /(\w+)(?:\[[^\]]*\])?$/.exec((match[1] ?? '').trim())?.[1]
    if (name !== undefined) fields.set(name, { offset: Number(match[2]), size: Number(match[3]) })
  }
  return fields
}

/** @throws Error when the kernel describes no such field, or one of another size: its trace cannot be read then. */
function field(fields: Map<string, TraceField>, name: string, sizes: readonly number[]): TraceField {
  const found = fields.get(name)
  if (found === undefined || (sizes.length > 0 && !sizes.includes(found.size))) {
    throw new Error(
      `this kernel describes its trace in an unknown form: ${name} is ${found?.size ?? 'not there'}, expected ${sizes.join(' or ')} bytes`,
    )
  }
  // Numbers are read as whole words.
  if (found.size >= 4 && sizes.length > 0 && found.offset % 4 !== 0)
    throw new Error(
      `this kernel describes its trace in an unknown form: ${name} stands at byte ${found.offset}`,
    )
  return found
}

/**
 * Reads what the kernel says of its pages and of the event.
 * @throws Error when it is not what can be read.
 */
export function parseTraceLayout(headerPage: string, eventFormat: string): TraceLayout {
  if (endianness() !== 'LE') throw new Error('its numbers are big endian')
  const page = fieldsOf(headerPage)
  const data = field(page, 'data', [])
  return {
    pageBytes: data.offset + data.size,
    commit: field(page, 'commit', [4, 8]),
    dataOffset: data.offset,
    ...parseEventLayout(eventFormat),
  }
}

/**
 * Reads what the kernel says of an event.
 * @throws Error when it is not what can be read.
 */
export function parseEventLayout(eventFormat: string): EventLayout {
  const event = fieldsOf(eventFormat)
  const eventId = Number(/^ID:\s*(\d+)$/m.exec(eventFormat)?.[1] ?? Number.NaN)
  if (!Number.isInteger(eventId))
    throw new Error('this kernel describes its trace in an unknown form: no event ID')
  return {
    eventId,
    commonType: field(event, 'common_type', [2]),
    dev: field(event, 'dev', [4]),
    sector: field(event, 'sector', [4, 8]),
    sectorCount: field(event, 'nr_sector', [4]),
    kind: field(event, 'rwbs', []),
  }
}

/** Folders of events, below a folder of tracing. */
export const eventFolders = {
  completed: 'events/block/block_rq_complete',
  discardQueued: 'events/block/block_bio_queue',
  discardEnded: 'events/block/block_bio_complete',
}

/** The layout for the events of the kernel whose tracing is in `folder`. */
export async function readTraceLayout(folder: string): Promise<TraceLayout> {
  const formatOf = (event: string) => readFile(join(folder, event, 'format'), 'utf8')
  const layout = parseTraceLayout(
    await readFile(join(folder, 'events/header_page'), 'utf8'),
    await formatOf(eventFolders.completed),
  )
  let discards: DiscardLayouts | undefined
  try {
    discards = {
      queued: parseEventLayout(await formatOf(eventFolders.discardQueued)),
      ended: parseEventLayout(await formatOf(eventFolders.discardEnded)),
    }
  } catch {
    // Without them a discard of several ranges is one of unknown ranges, which is told when it happens.
  }
  return { ...layout, discards }
}
