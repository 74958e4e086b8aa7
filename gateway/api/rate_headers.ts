/**
 * The limit on calls of a token, told with each answer as the draft of the IETF's HTTPAPI group has it: `RateLimit-Policy` and `RateLimit`.
 * @module
 */
import type { MiddlewareHandler } from 'hono'
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Refusal } from '../problem.ts'

/** Lets as many calls through as the token may make. @throws Refusal 429 for those above. */
export function limitRate({
  requestRates,
  apiCounts,
}: Pick<Services, 'requestRates' | 'apiCounts'>): MiddlewareHandler<ApiEnv> {
  return async function limitRate(c, next) {
    if (requestRates === undefined) return next()
    const { calls, windowSeconds } = requestRates.policy
    const token = c.get('token')
    const taken = requestRates.take(`token ${token.tokenSha256}`)
    c.header('RateLimit-Policy', `"default";q=${calls};w=${windowSeconds}`)
    c.header('RateLimit', `"default";r=${taken.callsLeft};t=${taken.secondsToFull}`)
    if (taken.isAllowed) return next()
    apiCounts.noteLimited('v1')
    throw new Refusal(
      429,
      'rate-limited',
      `The token “${token.name}” may make ${calls} calls in ${windowSeconds} s; try again in ${taken.waitSeconds} s`,
      { headers: { 'Retry-After': String(taken.waitSeconds) } },
    )
  }
}
