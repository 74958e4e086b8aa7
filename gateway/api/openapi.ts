/**
 * The description of `/api/v1` as OpenAPI 3.1, made from the very schemas that its routes read with, and those that their answers are held against.
 * @module
 */
import type { DescribedCall } from './calls/described_call.ts'
import { z } from 'zod'
import { accessCalls } from './calls/access_calls.ts'
import { historyCalls } from './calls/history_calls.ts'
import { jobCalls } from './calls/job_calls.ts'
import { parameterCalls } from './calls/parameter_calls.ts'
import { serverCalls } from './calls/server_calls.ts'
import { settingsCalls } from './calls/settings_calls.ts'
import { webhookCalls } from './calls/webhook_calls.ts'
import { answerSchemas } from './openapi_answers.ts'
import { answerHeaders, components, headerParameters, otherAnswers } from './openapi_conventions.ts'

/** Every call there is. */
export const describedCalls: readonly DescribedCall[] = [
  ...serverCalls,
  ...settingsCalls,
  ...jobCalls,
  ...accessCalls,
  ...parameterCalls,
  ...webhookCalls,
  ...historyCalls,
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
  const { properties = {} } = jsonSchemaOf(query, 'output') as { properties?: Record<string, Json> }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema,
  }))
}

/** What is in a good answer: JSON first, then what else it may be. */
function contentOf({ media = {} }: DescribedCall, schema: Json | undefined): Json {
  const others = Object.entries(media).map(([type, description]) => [
    type,
    { schema: { type: 'string', description } },
  ])
  return {
    ...(schema === undefined ? {} : { 'application/json': { schema } }),
    ...(Object.fromEntries(others) as Json),
  }
}

function operationOf(call: DescribedCall, answer: Json | undefined): Json {
  const { method, path, summary, role, query, body, status = 200 } = call
  const name = path
    .replace(/^\//, '')
    .replaceAll(/[/:-]+(\w)/g, (_match, letter: string) => letter.toUpperCase())
  const headers = answerHeaders(call)
  return {
    operationId: `${method}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    summary,
    description: `Needs the role ${role}.`,
    parameters: [...pathParameters(path), ...queryParameters(query), ...headerParameters(call)],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: jsonSchemaOf(body, 'input') } },
          },
        }),
    responses: {
      [String(status)]:
        status === 204
          ? { description: 'Done', headers }
          : { description: summary, headers, content: contentOf(call, answer) },
      ...otherAnswers(call),
    },
  }
}

/** The whole document. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {}
  const { answers, schemas } = answerSchemas(describedCalls)
  for (const [index, call] of describedCalls.entries()) {
    const path = call.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [call.method]: operationOf(call, answers[index]) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Rehost', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }],
    paths,
    components: { ...components, schemas },
  }
}
