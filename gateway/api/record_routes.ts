/**
 * `/api/v1/replication-records`: how the initial replications went, for planning those to come. As JSON in pages, or all at once as CSV.
 * @module
 */
import type { Context } from 'hono'
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import type { Services } from '../services.ts'
import type { RecordPage, RecordView } from './answers/record_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { gigabytes } from '../../domain/record_attributes.ts'
import { recordCsv } from '../record_csv.ts'
import { readQuery } from '../request.ts'
import { chosenRecords, orderOf, pageOfRecords, recordQuery } from './record_listing.ts'
import { pageQuery } from './list_paging.ts'

const format = z
  .enum(['json', 'csv'])
  .optional()
  .meta({ description: 'What is answered; without it, what the header Accept prefers. CSV has no pages' })

/** What can be asked for; pages are of JSON alone. */
export const recordListQuery = recordQuery.extend({ ...pageQuery.shape, format })

/** A file has all of them. */
const recordFileQuery = recordQuery.extend({ format })

function isCsvWanted(c: Context, wanted: string | undefined): boolean {
  const { format: asked } = z.object({ format }).parse({ format: wanted })
  return asked === undefined ? /\btext\/csv\b/i.test(c.req.header('accept') ?? '') : asked === 'csv'
}

function viewOf(record: ReplicationRecord): RecordView {
  return { ...record, replicatedTotalStorageGB: Number(gigabytes(record.replicatedStorageBytes)) }
}

/** The routes. */
export function recordRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) => {
    c.header('Vary', 'Accept')
    if (isCsvWanted(c, c.req.query('format'))) {
      const query = readQuery(c, recordFileQuery)
      const { records } = await services.records.list()
      return c.body(recordCsv(chosenRecords(records, query), services.recordTimeZone), 200, {
        'Content-Type': 'text/csv; charset=utf-8',
        'Content-Disposition': 'attachment; filename="replication-records.csv"',
      })
    }
    const { limit, nextToken, ...query } = readQuery(c, recordListQuery)
    const { records, unreadableIds } = await services.records.list()
    const { items, ...next } = pageOfRecords(chosenRecords(records, query), orderOf(query.order), {
      limit,
      nextToken,
    })
    return c.json({
      items: items.map(viewOf),
      ...next,
      // What somebody else has put into the table: left out, and said.
      ...(unreadableIds.length === 0 ? {} : { unreadableIds }),
    } satisfies RecordPage)
  })
  return app
}
