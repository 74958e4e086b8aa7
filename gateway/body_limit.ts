/**
 * Bodies that are too large to be honest are refused.
 * @module
 */
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { Refusal } from './problem.ts'

/**
 * Refuses larger bodies with 413. A body whose length the request tells is not looked at here: Node's server holds it to that length, and looking
 * makes a web stream of it, which costs more than the rest of a heartbeat.
 */
export function limitBody(maxBytes: number): MiddlewareHandler {
  const refuse = (): never => {
    throw new Refusal(413, 'invalid-input', `The body is larger than ${maxBytes} bytes`)
  }
  const count = bodyLimit({ maxSize: maxBytes, onError: refuse })
  return (c, next) => {
    const told = c.req.header('content-length')
    const isCounted = told === undefined || c.req.header('transfer-encoding') !== undefined
    if (isCounted) return count(c, next)
    return Number(told) > maxBytes ? refuse() : next()
  }
}
