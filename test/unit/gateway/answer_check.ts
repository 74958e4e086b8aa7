/**
 * Holds what the API answers in tests against the document that describes it: status, kind, tag, and every field. A field that the document does not
 * have is refused here, though clients must take it: it would be one that nobody has described.
 * @module
 */
import type { Env, Hono } from 'hono'
import type { ValidateFunction } from 'ajv/dist/2020.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { z } from 'zod'
import { openApiDocument } from '../../../gateway/api/openapi.ts'

type Json = Record<string, unknown>

interface Answer {
  headers?: Json
  content?: Record<string, { schema: Json }>
}

interface Operation {
  operationId: string
  responses: Record<string, Answer>
}

const base = '/api/v1'
const document = openApiDocument('test') as {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Json }
}

/** `schema` with every object closed, and with its references where {@link ajv} finds them. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const parts = Object.entries(schema).map(([key, value]) => [
    key,
    key === '$ref' ? String(value).replace('#/components/schemas/', 'components#/$defs/') : closed(value),
  ])
  const isOpen = 'properties' in schema && !('additionalProperties' in schema)
  return { ...Object.fromEntries(parts), ...(isOpen ? { additionalProperties: false } : {}) }
}

const ajv = new Ajv2020({
  allowUnionTypes: true,
  formats: { int64: true, 'date-time': (text: string) => z.iso.datetime().safeParse(text).success },
})
ajv.addSchema({ $id: 'components', $defs: closed(document.components.schemas) as Json })

const validators = new Map<Json, ValidateFunction>()

/** What is wrong with `value`, in words; undefined when nothing is. */
function problemWith(value: unknown, schema: Json): string | undefined {
  const validate = validators.get(schema) ?? ajv.compile(closed(schema) as Json)
  validators.set(schema, validate)
  return validate(value) ? undefined : `${ajv.errorsText(validate.errors)} ${JSON.stringify(validate.errors)}`
}

/** What is wrong with `value` as the component `name`. */
export function problemWithComponent(value: unknown, name: string): string | undefined {
  return problemWith(value, (componentRefs[name] ??= { $ref: `#/components/schemas/${name}` }))
}

/** One object for each, as validators are kept by the object that they are made of. */
const componentRefs: Record<string, Json> = {}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    method,
    pattern: new RegExp(`^${base}${path.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`),
    // /events/stream is not the event that is called stream.
    fixedParts: path.split('/').filter((part) => !part.startsWith('{')).length,
    operation,
  })),
)
operations.sort((one, other) => other.fixedParts - one.fixedParts)

/** Every operation of the document. */
export const operationIds = operations.map(({ operation }) => operation.operationId)

/** The operations of which a good answer was found right. */
export const checkedAnswers = new Set<string>()

/** @throws Error when `response` is not what the document says. */
export async function checkAnswer(method: string, path: string, response: Response): Promise<void> {
  const { status, headers } = response
  const isHead = method === 'HEAD'
  const wanted = isHead ? 'get' : method.toLowerCase()
  const operation = operations.find((one) => one.method === wanted && one.pattern.test(path))?.operation
  const refuse = (why: string): never => {
    throw new Error(`${method} ${path} answered ${status}, which is not as described: ${why}`)
  }
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  if (status >= 400) {
    if (type !== 'application/problem+json') refuse(`its content is ${type}`)
    const why = isHead ? undefined : problemWithComponent(await response.clone().json(), 'Problem')
    return why === undefined ? undefined : refuse(why)
  }
  if (operation === undefined) return refuse('there is no such operation')
  const answer = operation.responses[String(status)]
  if (answer === undefined) return refuse(`there are ${Object.keys(operation.responses).join(', ')}`)
  if (headers.has('etag') !== 'ETag' in (answer.headers ?? {}))
    refuse(headers.has('etag') ? 'it has an ETag' : 'it has no ETag')
  if (isHead || status === 304) return
  if (answer.content === undefined) {
    if ((await response.clone().text()) !== '') refuse('it has a body')
  } else {
    const content = answer.content[type]
    if (content === undefined)
      return refuse(`its content is ${type}, not ${Object.keys(answer.content).join(', ')}`)
    const why =
      type === 'application/json' ? problemWith(await response.clone().json(), content.schema) : undefined
    if (why !== undefined) refuse(why)
  }
  checkedAnswers.add(operation.operationId)
}

/** `app`, each of whose answers below `/api/v1` is checked before anybody gets it. */
export function checked<E extends Env>(app: Hono<E>): Hono<E> {
  const { fetch } = app
  app.fetch = async (request, ...more) => {
    const response = await fetch(request, ...more)
    const { pathname } = new URL(request.url)
    if (pathname.startsWith(`${base}/`) && pathname !== `${base}/openapi.json`)
      await checkAnswer(request.method, pathname, response)
    return response
  }
  return app
}
