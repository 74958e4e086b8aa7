/**
 * The calls of `/api/v1` about what has happened: events, records, how forecasts held, and the audit log.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { eventPage } from '../answers/event_answers.ts'
import { forecastAccuracy } from '../answers/forecast_answers.ts'
import { auditPage } from '../answers/installation_answers.ts'
import { recordPage } from '../answers/record_answers.ts'
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
    answer: eventPage,
    query: eventListQuery,
  },
  {
    method: 'get',
    path: '/events/stream',
    summary: 'Events as they come; resumed by Last-Event-ID',
    role: 'viewer',
    query: eventStreamQuery,
    isResumed: true,
    media: { 'text/event-stream': 'Server-sent events; the data of each is an EventEnvelope as JSON' },
  },
  {
    method: 'get',
    path: '/forecasts/accuracy',
    summary: 'How past forecasts held',
    role: 'viewer',
    answer: forecastAccuracy,
  },
  {
    method: 'get',
    path: '/replication-records',
    summary: 'How initial replications went, page by page, or all as CSV',
    role: 'viewer',
    answer: recordPage,
    media: { 'text/csv': 'A line for each record, below one with the names of the columns' },
    query: recordListQuery,
  },
  {
    method: 'get',
    path: '/audit',
    summary: 'The audit log, page by page',
    role: 'admin',
    answer: auditPage,
    query: auditQuery,
  },
  {
    method: 'get',
    path: '/audit/export',
    summary: 'The whole audit log, an entry on each line',
    role: 'admin',
    media: { 'application/x-ndjson': 'An AuditEntry as JSON on each line' },
  },
]
