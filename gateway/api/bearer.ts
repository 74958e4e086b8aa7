/**
 * Programs show an API token; browsers' cookies are not looked at here, so no other site can borrow them.
 * @module
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { ApiToken } from '../../domain/enrolment.ts'
import type { Role } from '../people/accounts.ts'
import type { Services } from '../services.ts'
import { hasRole } from '../people/accounts.ts'
import { findApiToken } from '../people/api_tokens.ts'
import { Refusal } from '../problem.ts'
import { limitKey } from '../request.ts'

/** What handlers of the API find in their context. */
export interface ApiEnv {
  Variables: { token: ApiToken }
}

/** Lets requests with a good token through. @throws Refusal 401, or 429 after too many wrong ones. */
export function requireToken(services: Services): MiddlewareHandler<ApiEnv> {
  return async function requireToken(c, next) {
    const limiter = services.rateLimits.api
    const address = services.trustedProxies.callerAddress(c)
    const [scheme = '', secret = ''] = (c.req.header('authorization') ?? '').split(' ', 2)
    const token = scheme.toLowerCase() === 'bearer' ? await findApiToken(services.store, secret) : undefined
    if (token === undefined) {
      const wait = limiter.waitSeconds(limitKey(address))
      if (wait > 0) {
        throw new Refusal(
          429,
          'too-many-attempts',
          `Too many wrong tokens from ${address}; try again in ${wait} s`,
          {
            headers: { 'Retry-After': String(wait) },
          },
        )
      }
      if (secret !== '') limiter.fail(limitKey(address))
      throw new Refusal(
        401,
        'unauthenticated',
        secret === ''
          ? 'Send an API token: Authorization: Bearer rehost_…; tokens are made under Settings'
          : 'This API token is not known, or was deleted; tokens are made under Settings',
        {
          headers: { 'WWW-Authenticate': 'Bearer realm="rehost"' },
        },
      )
    }
    c.set('token', token)
    c.header('Cache-Control', 'no-store')
    return next()
  }
}

/** Refuses tokens whose role is too small. */
export function requireApiRole(c: Context<ApiEnv>, needed: Role): void {
  const token = c.get('token')
  if (!hasRole(token.role, needed)) {
    throw new Refusal(
      403,
      'forbidden',
      `This needs the role ${needed}; the token “${token.name}” is ${token.role}`,
    )
  }
}

/** The name that events and jobs keep of a program. */
export function actorOf(c: Context<ApiEnv>): string {
  return `token ${c.get('token').name}`
}
