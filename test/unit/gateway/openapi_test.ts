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
        parameters: { name: string; in: string }[]
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
  expect(change?.parameters).toEqual([{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }])
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
    schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
  })
  for (const [path, calls] of Object.entries(paths))
    for (const { parameters } of Object.values(calls)) {
      const named = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
      expect(path.match(/\{\w+\}/g) ?? []).toEqual(named)
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
