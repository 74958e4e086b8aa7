/**
 * `Idempotency-Key` on requests that create or start something, as the draft of the IETF's HTTPAPI group has it: sent again with the same key, a
 * request is not done again and answered as it was.
 * @module
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Claim, claimOrAnswer } from '../kept_answers.ts'
import { Refusal } from '../problem.ts'
import { sha256 } from '../secrets.ts'

/** The header of the request. */
export const idempotencyKeyHeader = 'Idempotency-Key'

/** On an answer that was given before. */
export const replayedHeader = 'Idempotency-Replayed'

/** Headers that belong to the answer itself, and not to the moment in which it is given. */
const keptHeaders = ['content-type', 'location', 'etag']

/** The key: a string of structured fields, or the same without quotes, as many clients send it. */
function readKey(header: string): string {
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header.trim()) ?? []
  const key = quoted === undefined ? header.trim() : quoted.replace(/\\(["\\])/g, '$1')
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key
  throw new Refusal(
    400,
    'invalid-input',
    `Cannot read ${idempotencyKeyHeader}: give 1 to 255 printable ASCII characters, a new UUID for each request`,
  )
}

/** Everything that makes a request another one. */
async function requestHash(c: Context): Promise<string> {
  const { pathname, search } = new URL(c.req.url)
  return sha256(JSON.stringify([c.req.method, pathname + search, await c.req.text()]))
}

/** Lets each key through once. Answers of 500 and more are not kept: they say that nothing can be said. */
export function idempotent(services: Services): MiddlewareHandler<ApiEnv> {
  return async function idempotent(c, next) {
    const header = c.req.header(idempotencyKeyHeader)
    if (header === undefined || c.req.method !== 'POST') return next()
    const id = sha256(JSON.stringify([c.get('token').tokenSha256, readKey(header)]))
    const found = await claimOrAnswer(services, id, await requestHash(c))
    if (!(found instanceof Claim)) {
      const { status, headers, body } = found
      return c.body(body, status as ContentfulStatusCode, { ...headers, [replayedHeader]: 'true' })
    }
    try {
      await next()
    } catch (error) {
      await found.giveUp()
      throw error
    }
    const { res } = c
    if (res.status >= 500) return found.giveUp()
    const headers = Object.fromEntries([...res.headers].filter(([name]) => keptHeaders.includes(name)))
    await found.settle({ status: res.status, headers, body: await res.clone().text() })
  }
}
