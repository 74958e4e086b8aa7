/**
 * Refusals as RFC 9457 problem+json. Errors of the domain become statuses here and nowhere else.
 * @module
 */
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Problem } from '../wire/control_api.ts'
import type { Log } from './log.ts'
import { HTTPException } from 'hono/http-exception'
import { ZodError } from 'zod'
import { ConflictError, InvalidInputError, NotFoundError, errorMessage } from '../domain/errors.ts'
import { RevisionConflictError } from '../store/store.ts'

/** A refusal with its status. `kind` is the last part of the problem's type: what a program matches. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: ContentfulStatusCode
  readonly kind: string
  readonly headers: Record<string, string>
  constructor(
    status: ContentfulStatusCode,
    kind: string,
    detail: string,
    options: ErrorOptions & { headers?: Record<string, string> } = {},
  ) {
    super(detail, options)
    this.status = status
    this.kind = kind
    this.headers = options.headers ?? {}
  }
}

const titles: Record<string, string> = {
  unauthenticated: 'Who are you',
  forbidden: 'Not allowed',
  'not-found': 'Not found',
  conflict: 'Not possible now',
  'invalid-input': 'Input not understood',
  'precondition-failed': 'Changed meanwhile',
  'idempotency-key-in-use': 'Still being done',
  'idempotency-key-reused': 'Key of another request',
  'answer-not-kept': 'Done, answer not kept',
  'rate-limited': 'Too many calls',
  'too-many-attempts': 'Too many attempts',
  unavailable: 'Not available',
  internal: 'Something went wrong in Rehost',
}

/** Where problem types are described. */
const typeBase = 'urn:rehost:problem:'

/** Any error as a refusal. What is not expected becomes a 500 whose cause goes to the log and not to the caller. */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof ZodError) {
    const first = error.issues[0]
    const where = first === undefined || first.path.length === 0 ? 'the request' : first.path.join('.')
    return new Refusal(400, 'invalid-input', `Cannot read ${where}: ${first?.message ?? 'not as expected'}`, {
      cause: error,
    })
  }
  if (error instanceof NotFoundError) return new Refusal(404, 'not-found', error.message, { cause: error })
  if (error instanceof InvalidInputError)
    return new Refusal(422, 'invalid-input', error.message, { cause: error })
  if (error instanceof ConflictError) return new Refusal(409, 'conflict', error.message, { cause: error })
  if (error instanceof RevisionConflictError) {
    // Not 409: an agent would take that for a newer run of itself.
    return new Refusal(503, 'unavailable', 'Too many changed this at the same moment; try again', {
      cause: error,
      headers: { 'Retry-After': '1' },
    })
  }
  if (error instanceof HTTPException) {
    const kind =
      error.status === 401 ? 'unauthenticated' : error.status === 403 ? 'forbidden' : 'invalid-input'
    const detail =
      error.status === 403
        ? 'The request comes from another site, or from a browser that hides where it comes from'
        : error.message || 'The request was refused'
    return new Refusal(error.status, kind, detail, { cause: error })
  }
  return new Refusal(500, 'internal', 'Rehost could not answer; the reason is in the log of the gateway', {
    cause: error,
  })
}

/** The body of a refusal. */
export function problemOf(refusal: Refusal): Problem {
  return {
    type: typeBase + refusal.kind,
    title: titles[refusal.kind] ?? refusal.kind,
    status: refusal.status,
    detail: refusal.message,
  }
}

/** Logs what is ours to mend: refusals are the caller's business, failures are not. */
export function logFailure(log: Log, c: Context, refusal: Refusal): void {
  if (refusal.status < 500) return
  log.error(
    { method: c.req.method, path: c.req.path, error: errorMessage(refusal.cause ?? refusal) },
    refusal.message,
  )
}

/** The answer of an API to a refusal. */
export function problemResponse(c: Context, refusal: Refusal): Response {
  for (const [name, value] of Object.entries(refusal.headers)) c.header(name, value)
  return c.body(JSON.stringify(problemOf(refusal)), refusal.status, {
    'Content-Type': 'application/problem+json',
  })
}
