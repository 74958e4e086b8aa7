/**
 * `/api/v1/audit`: the audit log, a page at a time or whole.
 * @module
 */
import type { Services } from '../services.ts'
import type { AuditPage } from './answers/installation_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { encodeCursor } from '../../store/paging.ts'
import { auditId } from '../audit_log.ts'
import { readQuery } from '../request.ts'
import { requireApiRole } from './bearer.ts'
import { pageWords } from './list_paging.ts'

/** Which entries are asked for. */
export const auditQuery = z.object({
  nextToken: z
    .string()
    .regex(/^\d{1,12}$/, 'use that of the page before, unchanged, or 0 for the first page')
    .transform(Number)
    .pipe(z.int().min(0))
    .default(0)
    .meta({
      description: 'That of the page before, which is the sequence of its last entry; 0 for the first page',
    }),
  limit: z.coerce.number().int().min(1).max(1000).default(100).meta({ description: pageWords.limit }),
})

/** Entries read at once for a file. */
const pageEntries = 500

/** The routes. */
export function auditRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  const { store } = services

  const page = async (after: number, limit: number) => {
    const { items } = await store.list('auditEntry', { limit, cursor: encodeCursor(auditId(after)) })
    return items.map(({ value }) => value)
  }

  app.get('/', async (c) => {
    requireApiRole(c, 'admin')
    const { nextToken: after, limit } = readQuery(c, auditQuery)
    const items = await page(after, limit)
    const last = items.at(-1)
    const next = last === undefined || items.length < limit ? {} : { nextToken: String(last.sequence) }
    return c.json({ items, ...next } satisfies AuditPage)
  })

  app.get('/export', (c) => {
    requireApiRole(c, 'admin')
    let after = 0
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const entries = await page(after, pageEntries)
        const last = entries.at(-1)
        if (last === undefined) return controller.close()
        after = last.sequence
        controller.enqueue(Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')))
      },
    })
    return c.body(body, 200, { 'Content-Type': 'application/x-ndjson' })
  })
  return app
}
