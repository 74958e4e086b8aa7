/**
 * Reading what comes from outside: JSON, bodies and queries against their schema, and the address a request comes from.
 * @module
 */
import { isIPv6 } from 'node:net'
import type { Context } from 'hono'
import type { z } from 'zod'
import { Refusal } from './problem.ts'

/**
 * The JSON body as `schema` describes it; an empty body counts as `{}`.
 * @throws Refusal 415 for another content type, 400 for what is not JSON; ZodError when the schema refuses it.
 */
export async function readJson<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text()
  const contentType = c.req.header('content-type') ?? ''
  if (text !== '' && !/^application\/json\b/i.test(contentType)) {
    throw new Refusal(
      415,
      'invalid-input',
      `Cannot read a body of type ${contentType || 'unknown'}; send application/json`,
    )
  }
  let value: unknown
  try {
    value = text === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw new Refusal(400, 'invalid-input', 'Cannot read the body: it is not JSON', { cause: error })
  }
  return schema.parse(value)
}

/**
 * The query as `schema` describes it.
 * @throws Refusal 400 for a parameter that there is not, or that is given more than once; ZodError when the schema refuses a value.
 */
export function readQuery<T extends z.ZodObject>(c: Context, schema: T): z.infer<T> {
  const known = Object.keys(schema.shape)
  for (const [name, values] of Object.entries(c.req.queries())) {
    const shown = name.slice(0, 40)
    if (!known.includes(name))
      throw new Refusal(
        400,
        'invalid-input',
        `Cannot read the query: there is no parameter ${shown}, but ${known.join(', ')}`,
      )
    if (values.length > 1)
      throw new Refusal(400, 'invalid-input', `Cannot read the query: ${shown} is given more than once`)
  }
  return schema.parse(c.req.query())
}

/** The caller's address as the socket tells it; `unknown` where the runtime does not. Forwarding headers are not believed. */
export function remoteAddress(c: Context): string {
  const environment: unknown = c.env
  if (typeof environment !== 'object' || environment === null) return 'unknown'
  if ('incoming' in environment) {
    const incoming = environment.incoming as { socket?: { remoteAddress?: string } }
    return incoming.socket?.remoteAddress ?? 'unknown'
  }
  if ('remoteAddr' in environment) {
    const address = environment.remoteAddr as { hostname?: string }
    return address.hostname ?? 'unknown'
  }
  return 'unknown'
}

/**
 * What limits on guessing count by: the address, or of an IPv6 address the network of 2^64 that one caller usually has to choose from.
 * An IPv4 address stays the same however the socket writes it.
 */
export function limitKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [bare = ''] = plain.split('%', 1)
  const [head = '', tail] = bare.split('::', 2)
  const known = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - known.length - after.length
  const groups = [...known, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}

/** The value of a JSON text; undefined, which no schema takes, for what is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
