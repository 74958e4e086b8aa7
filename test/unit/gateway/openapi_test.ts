import { afterEach, beforeEach, expect, it } from 'vitest'
import { createApi } from '../../../gateway/api/api_app.ts'
import { describedCalls } from '../../../gateway/api/openapi.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

interface Document {
  openapi: string
  paths: Record<
    string,
    Record<
      string,
      {
        operationId: string
        parameters: { name: string; in: string; description?: string }[]
        responses: Record<string, { $ref?: string; headers?: Record<string, unknown> }>
        requestBody?: { content: Record<string, { schema: Record<string, unknown> }> }
      }
    >
  >
}

const document = async () => (await (await gateway.app.request('/api/v1/openapi.json')).json()) as Document

it('describes every route that there is, and no other', () => {
  const routes = createApi(gateway.services)
    .routes.filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
    .map(({ method, path }) => `${method} ${path.length > 1 ? path.replace(/\/$/, '') : path}`)
  const described = describedCalls.map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(new Set(described)).toEqual(new Set(routes))
  expect(new Set(described).size).toBe(described.length)
})

it('is OpenAPI 3.1, with the fields that the schemas read', async () => {
  const { openapi, paths } = await document()
  expect(openapi).toBe('3.1.0')
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  expect(operations).toHaveLength(describedCalls.length)
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  const change = paths['/servers/{id}/replication-configuration']?.['put']
  expect(change?.parameters[0]).toEqual({
    name: 'id',
    in: 'path',
    required: true,
    schema: { type: 'string' },
  })
  expect(change?.parameters.slice(1)).toMatchObject([{ name: 'If-Match', in: 'header', required: false }])
  const schema = change?.requestBody?.content['application/json']?.schema
  expect(schema).toMatchObject({
    type: 'object',
    additionalProperties: false,
    properties: { bandwidthThrottlingMbps: { type: 'number', minimum: 0 } },
  })
  expect(paths['/servers']?.['get']?.parameters).toContainEqual({
    name: 'limit',
    in: 'query',
    required: false,
    description: 'Items of a page, at most',
    schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
  })
  for (const [path, calls] of Object.entries(paths))
    for (const { parameters } of Object.values(calls)) {
      const named = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
      expect(path.match(/\{\w+\}/g) ?? []).toEqual(named)
    }
})

it('says of every parameter of a query what it is for', async () => {
  const { paths } = await document()
  const bare = Object.entries(paths).flatMap(([path, calls]) =>
    Object.values(calls).flatMap(({ parameters }) =>
      parameters
        .filter((one) => one.in === 'query' && (one.description ?? '') === '')
        .map(({ name }) => `${path} ${name}`),
    ),
  )
  expect(bare).toEqual([])
  const limit = paths['/events']?.['get']?.parameters.find(({ name }) => name === 'limit')
  expect(limit?.description).toContain('fewer, or none, also before the end')
})

it('describes the headers and refusals that all calls have in common', async () => {
  const whole = await document()
  const { paths } = whole
  const refusals = (path: string, method: string) =>
    Object.keys(paths[path]?.[method]?.responses ?? {}).filter((status) => status >= '3')
  expect(refusals('/servers', 'get')).toEqual(['400', '401', '403', '429', 'default'])
  expect(refusals('/webhooks/{id}', 'get')).toEqual(['304', '401', '403', '404', '429', 'default'])
  const changing = ['400', '401', '403', '404', '409', '412', '422', '429', 'default']
  expect(refusals('/webhooks/{id}', 'put')).toEqual(changing)
  expect(refusals('/webhooks/{id}', 'delete')).toEqual(['401', '403', '404', '412', '429', 'default'])
  const forced = ['400', '401', '403', '404', '409', '412', '429', 'default']
  expect(refusals('/parameters/{name}', 'delete')).toEqual(forced)
  expect(refusals('/tokens', 'post')).toEqual(['400', '401', '403', '409', '422', '429', 'default'])
  const names = (path: string, method: string) => paths[path]?.[method]?.parameters.map(({ name }) => name)
  expect(names('/tokens', 'post')).toEqual(['Idempotency-Key'])
  expect(names('/events/stream', 'get')).toEqual(['lastEventId', 'pattern', 'Last-Event-ID'])
  expect(names('/parameters/{name}', 'delete')).toEqual(['name', 'force', 'If-Match'])
  expect(names('/webhooks/{id}', 'get')).toEqual(['id', 'If-None-Match'])
  const made = Object.keys(paths['/tokens']?.['post']?.responses['201']?.headers ?? {})
  expect(made).toEqual(['RateLimit-Policy', 'RateLimit', 'Idempotency-Replayed'])
  // What is referred to is there.
  const found = JSON.stringify(whole).matchAll(/"\$ref":"#\/([^"]+)"/g)
  for (const [, place = ''] of found) {
    const target = place
      .split('/')
      .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], whole)
    expect(target, place).toBeTypeOf('object')
  }
})

it('says of an ETag what the call does', async () => {
  const headers = { authorization: `Bearer ${await gateway.apiToken()}` }
  for (const { path, isTagged } of describedCalls.filter(({ method }) => method === 'get')) {
    if (path.includes(':') || path.includes('stream') || path.includes('export')) continue
    const { headers: own, status } = await gateway.app.request(`/api/v1${path}`, { headers })
    expect([path, status, own.has('etag')]).toEqual([path, 200, isTagged === true])
  }
})

const below: Record<Role, Role | undefined> = { viewer: undefined, operator: 'viewer', admin: 'operator' }

it.each(
  describedCalls
    .filter(({ role }) => below[role] !== undefined)
    .map((call) => [call.method, call.path, call.role] as const),
)('%s %s needs the role that it says: %s', async (method, path, role) => {
  const token = await gateway.apiToken(below[role])
  const response = await gateway.app.request(
    `/api/v1${path.replace(':id', 's-00000000000000001').replaceAll(/:\w+/g, 'x')}`,
    {
      method: method.toUpperCase(),
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(method === 'get' ? {} : { body: '{}' }),
    },
  )
  expect(response.status).toBe(403)
})
