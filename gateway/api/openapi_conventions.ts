/**
 * What all calls of `/api/v1` have in common, as their description says it: headers that are heeded and given, and refusals.
 * @module
 */
import type { DescribedCall } from './calls/described_call.ts'

type Json = Record<string, unknown>

const text = { type: 'string' }

function header(name: string, description: string): Json {
  return { name, in: 'header', required: false, description, schema: text }
}

/** The headers that a call heeds. */
export function headerParameters({ method, isTagged, isResumed }: DescribedCall): Json[] {
  if (method === 'post')
    return [
      header('Idempotency-Key', 'Sent again with the same key, the request is answered and not done again'),
    ]
  if (isResumed === true)
    return [header('Last-Event-ID', 'The last event that is known: only what came behind it is given')]
  if (isTagged !== true) return []
  return method === 'get'
    ? [header('If-None-Match', 'Tags that are known: 304 when it is one of them')]
    : [header('If-Match', 'Only what still has one of these tags is changed')]
}

const headerRef = (name: string): Json => ({ $ref: `#/components/headers/${name}` })
const refusalRef = (name: string): Json => ({ $ref: `#/components/responses/${name}` })
const limits = { 'RateLimit-Policy': headerRef('RateLimitPolicy'), RateLimit: headerRef('RateLimit') }

/** The headers of a good answer. */
export function answerHeaders({ method, isTagged, isAnswerUntagged, status }: DescribedCall): Json {
  const hasTag = isTagged === true && isAnswerUntagged !== true && status !== 204
  return {
    ...limits,
    ...(hasTag ? { ETag: headerRef('ETag') } : {}),
    ...(method === 'post' ? { 'Idempotency-Replayed': headerRef('IdempotencyReplayed') } : {}),
  }
}

/** What a call may be answered with besides. */
export function otherAnswers({ method, path, query, body, isTagged, isRefusedInUse }: DescribedCall): Json {
  const isRead = body !== undefined || query !== undefined || method === 'post'
  const isSent = method === 'post' || method === 'put'
  const notModified = { description: 'Known by If-None-Match', headers: { ETag: headerRef('ETag') } }
  return {
    ...(isTagged === true && method === 'get' ? { '304': notModified } : {}),
    ...(isRead ? { '400': refusalRef('NotUnderstood') } : {}),
    '401': refusalRef('Unauthenticated'),
    '403': refusalRef('Forbidden'),
    ...(path.includes(':') ? { '404': refusalRef('NotFound') } : {}),
    ...(isSent || isRefusedInUse === true ? { '409': refusalRef('Conflict') } : {}),
    ...(isTagged === true && method !== 'get' ? { '412': refusalRef('PreconditionFailed') } : {}),
    ...(isSent ? { '422': refusalRef('Unprocessable') } : {}),
    '429': refusalRef('TooManyCalls'),
    default: refusalRef('Refused'),
  }
}

function refusal(description: string, headers: Json = {}): Json {
  return {
    description,
    headers: { ...limits, ...headers },
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  }
}

const described = (description: string): Json => ({ description, schema: text })

/** What calls refer to, apart from schemas. */
export const components: Json = {
  securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'An API token: rehost_…' } },
  headers: {
    RateLimitPolicy: described('Calls (q) that may be made in so many seconds (w)'),
    RateLimit: described('Calls (r) that may be made now, and in how many seconds (t) all may be again'),
    ETag: described('Names what is answered, as it is now'),
    IdempotencyReplayed: described('true when the answer is that of an earlier request with the same key'),
    RetryAfter: described('Seconds until it may be asked again'),
  },
  responses: {
    NotUnderstood: refusal('What was sent cannot be read; the field is named'),
    Unauthenticated: refusal('No token, or one that is not known'),
    Forbidden: refusal('The role of the token is too small'),
    NotFound: refusal('There is no such thing'),
    Conflict: refusal('Not possible now; or the request with this Idempotency-Key is still being done', {
      'Retry-After': headerRef('RetryAfter'),
    }),
    PreconditionFailed: refusal('It has been changed: none of the tags in If-Match is its own', {
      ETag: headerRef('ETag'),
    }),
    Unprocessable: refusal(
      'What was sent means nothing here; or the Idempotency-Key is that of another request',
    ),
    TooManyCalls: refusal('The token makes too many calls', { 'Retry-After': headerRef('RetryAfter') }),
    Refused: refusal('What is wrong, and what to do'),
  },
}
