/**
 * Reading requests: JSON bodies against their schema, and the address a request comes from.
 * @module
 */
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
