/**
 * The description of `/api/v1` as OpenAPI 3.1, made from the very schemas that its routes read with.
 * @module
 */
import type { Role } from '../people/accounts.ts'
import { z } from 'zod'
import { bandwidthSettingsSchema } from '../bandwidth_settings.ts'
import { diskChoiceSchema } from '../disk_choices.ts'
import { launchConfigurationSchema } from '../launch_settings.ts'
import { accessKeySchema } from '../people/access_keys.ts'
import { protectionSchema } from '../protection_settings.ts'
import { replicationConfigurationSchema } from '../replication_settings.ts'
import { newWebhookSchema, replaySchema, rotationSchema, webhookChangeSchema } from '../webhook_schemas.ts'
import { keyStatusSchema } from './access_key_routes.ts'
import { auditQuery } from './audit_routes.ts'
import { eventListQuery, eventStreamQuery } from './event_routes.ts'
import { recordListQuery } from './record_routes.ts'
import { serverEventsQuery, serverListQuery } from './server_routes.ts'
import { newTokenSchema } from './token_routes.ts'
import { attemptsQuery, deliveriesQuery } from './webhook_routes.ts'

/** One call. */
export interface DescribedCall {
  method: 'get' | 'post' | 'put' | 'delete'
  /** As the router has it, below `/api/v1`. */
  path: string
  summary: string
  role: Role
  query?: z.ZodObject
  body?: z.ZodType
  /** What a good answer is, where it is no JSON. */
  answers?: string
  /** Status of a good answer: 200 unless told. */
  status?: 200 | 201 | 202 | 204
}

const server = '/servers/:id'
const webhook = '/webhooks/:id'

/** Every call there is. */
export const describedCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/servers',
    summary: 'Source servers with their live figures, page by page',
    role: 'viewer',
    query: serverListQuery,
  },
  { method: 'get', path: server, summary: 'One server with its live figures', role: 'viewer' },
  {
    method: 'get',
    path: `${server}/events`,
    summary: 'What happened to a server, newest first',
    role: 'viewer',
    query: serverEventsQuery,
  },
  {
    method: 'get',
    path: `${server}/actions`,
    summary: 'What can be done to a server now, and why not otherwise',
    role: 'viewer',
  },
  {
    method: 'post',
    path: `${server}/actions/:action`,
    summary: 'Do an action; "revert" is one stage back',
    role: 'operator',
  },
  {
    method: 'get',
    path: `${server}/certificate`,
    summary: 'The signed certificate of a migration that is complete',
    role: 'viewer',
  },
  {
    method: 'get',
    path: `${server}/forecast`,
    summary: 'How long its first copy will take, whether that ends, and the downtime of its cutover',
    role: 'viewer',
  },
  {
    method: 'put',
    path: `${server}/protection`,
    summary: 'Policy of consistency points and of new disks',
    role: 'operator',
    body: protectionSchema,
  },
  {
    method: 'post',
    path: `${server}/disks`,
    summary: 'Take or leave out a disk that has appeared',
    role: 'operator',
    body: diskChoiceSchema,
  },
  {
    method: 'get',
    path: `${server}/replication-configuration`,
    summary: 'How a server is replicated',
    role: 'viewer',
  },
  {
    method: 'put',
    path: `${server}/replication-configuration`,
    summary: 'Change how a server is replicated; what is left out stays, null takes away',
    role: 'operator',
    body: replicationConfigurationSchema,
  },
  {
    method: 'put',
    path: `${server}/launch-configuration`,
    summary: 'Change how a server is launched; what is left out stays',
    role: 'operator',
    body: launchConfigurationSchema,
  },
  {
    method: 'get',
    path: '/bandwidth',
    summary: 'The calendar of servers without their own, and the sites',
    role: 'viewer',
  },
  {
    method: 'put',
    path: '/bandwidth',
    summary: 'Replace calendar and sites',
    role: 'operator',
    body: bandwidthSettingsSchema,
  },
  { method: 'get', path: '/forecasts/accuracy', summary: 'How past forecasts held', role: 'viewer' },
  { method: 'get', path: '/jobs', summary: 'Jobs, newest first', role: 'viewer' },
  { method: 'get', path: '/jobs/:id', summary: 'One job', role: 'viewer' },
  { method: 'get', path: '/jobs/:id/log', summary: 'The log of a job, oldest first', role: 'viewer' },
  {
    method: 'get',
    path: '/jobs/:id/tasks',
    summary: 'The steps of a job, for each of its servers',
    role: 'viewer',
  },
  {
    method: 'get',
    path: '/jobs/:id/servers/:server/:artefact',
    summary: 'What a launch left: serial.log, screenshot.png or conversion.json',
    role: 'viewer',
    answers: '*/*',
  },
  { method: 'get', path: '/tokens', summary: 'Installation tokens, newest first', role: 'viewer' },
  {
    method: 'post',
    path: '/tokens',
    summary: 'Make an installation token; its secret is in this answer alone',
    role: 'operator',
    body: newTokenSchema,
    status: 201,
  },
  {
    method: 'delete',
    path: '/tokens/:id',
    summary: 'Revoke an installation token',
    role: 'operator',
    status: 204,
  },
  { method: 'get', path: '/access-keys', summary: 'Access keys of MGN’s clients', role: 'admin' },
  {
    method: 'post',
    path: '/access-keys',
    summary: 'Make an access key; its secret is in this answer alone',
    role: 'admin',
    body: accessKeySchema,
    status: 201,
  },
  {
    method: 'put',
    path: '/access-keys/:id/status',
    summary: 'Enable or disable an access key',
    role: 'admin',
    body: keyStatusSchema,
  },
  { method: 'delete', path: '/access-keys/:id', summary: 'Delete an access key', role: 'admin', status: 204 },
  { method: 'get', path: '/webhooks', summary: 'Webhook endpoints', role: 'operator' },
  {
    method: 'post',
    path: '/webhooks',
    summary: 'Make an endpoint; its secret is in this answer alone',
    role: 'admin',
    body: newWebhookSchema,
    status: 201,
  },
  { method: 'get', path: webhook, summary: 'One endpoint', role: 'operator' },
  {
    method: 'put',
    path: webhook,
    summary: 'Change an endpoint; what is left out stays',
    role: 'admin',
    body: webhookChangeSchema,
  },
  {
    method: 'delete',
    path: webhook,
    summary: 'Delete an endpoint with what waits for it',
    role: 'admin',
    status: 204,
  },
  {
    method: 'post',
    path: `${webhook}/rotate-secret`,
    summary: 'Make another secret; the old one signs too for a while',
    role: 'admin',
    body: rotationSchema,
  },
  { method: 'post', path: `${webhook}/test`, summary: 'Send a test event', role: 'admin' },
  {
    method: 'post',
    path: `${webhook}/replay`,
    summary: 'Send events of a time once more',
    role: 'admin',
    body: replaySchema,
  },
  {
    method: 'get',
    path: `${webhook}/attempts`,
    summary: 'Tries with their answers, newest first',
    role: 'operator',
    query: attemptsQuery,
  },
  {
    method: 'get',
    path: `${webhook}/deliveries`,
    summary: 'What is, was or could not be delivered',
    role: 'operator',
    query: deliveriesQuery,
  },
  {
    method: 'get',
    path: `${webhook}/deliveries/:delivery`,
    summary: 'One delivery with its event',
    role: 'operator',
  },
  {
    method: 'post',
    path: `${webhook}/deliveries/:delivery/redeliver`,
    summary: 'Send one delivery again',
    role: 'admin',
  },
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

type Json = Record<string, unknown>

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...own } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return own
}

/** What stands in the path. */
function pathParameters(path: string): Json[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters(query: z.ZodObject | undefined): Json[] {
  if (query === undefined) return []
  // Text becomes what it says: the schema of what it says tells more. Nothing of a query must be there.
  const { properties = {} } = jsonSchemaOf(query, 'output') as { properties?: Json }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
}

function operationOf({
  method,
  path,
  summary,
  role,
  query,
  body,
  answers,
  status = 200,
}: DescribedCall): Json {
  const name = path
    .replace(/^\//, '')
    .replaceAll(/[/:-]+(\w)/g, (_match, letter: string) => letter.toUpperCase())
  const content = { [answers ?? 'application/json']: { schema: {} } }
  const problem = (description: string) => ({
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  })
  return {
    operationId: `${method}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    summary,
    description: `Needs the role ${role}.`,
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: jsonSchemaOf(body, 'input') } },
          },
        }),
    responses: {
      [String(status)]: status === 204 ? { description: 'Done' } : { description: summary, content },
      '401': problem('No token, or one that is not known'),
      '403': problem('The role of the token is too small'),
      default: problem('What is wrong, and what to do'),
    },
  }
}

/** The whole document. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const call of describedCalls) {
    const path = call.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [call.method]: operationOf(call) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Rehost', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'An API token: rehost_…' } },
      schemas: {
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'detail'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            detail: { type: 'string' },
          },
        },
      },
    },
  }
}
