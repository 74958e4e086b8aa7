/**
 * The calls of `/api/v1` about what has happened: events, records, how forecasts held, and the audit log.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { auditQuery } from '../audit_routes.ts'
import { eventListQuery, eventStreamQuery } from '../event_routes.ts'
import { recordListQuery } from '../record_routes.ts'

/** Each of them. */
export const historyCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/events',
    summary: 'Events of all servers, page by page',
    role: 'viewer',
    query: eventListQuery,
  },
  {
    method: 'get',
    path: '/events/stream',
    summary: 'Events as they come; resumed by Last-Event-ID',
    role: 'viewer',
    query: eventStreamQuery,
    answers: 'text/event-stream',
  },
  { method: 'get', path: '/forecasts/accuracy', summary: 'How past forecasts held', role: 'viewer' },
  {
    method: 'get',
    path: '/replication-records',
    summary: 'How initial replications went, page by page, or all as CSV',
    role: 'viewer',
    query: recordListQuery,
  },
  { method: 'get', path: '/audit', summary: 'The audit log, page by page', role: 'admin', query: auditQuery },
  {
    method: 'get',
    path: '/audit/export',
    summary: 'The whole audit log, an entry on each line',
    role: 'admin',
    answers: 'application/x-ndjson',
  },
]
