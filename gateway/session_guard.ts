/**
 * Pages are for people who are signed in, and what changes something needs a role and a form from this very site.
 * @module
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { Role } from './people/accounts.ts'
import type { SignedIn } from './people/sessions.ts'
import type { Services } from './services.ts'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { hasRole } from './people/accounts.ts'
import { findSession, sessionLifetimeMs } from './people/sessions.ts'
import { Refusal } from './problem.ts'

/** What handlers of pages find in their context. */
export interface PageEnv {
  Variables: { signedIn: SignedIn }
}

/** Over HTTPS the name makes browsers insist on `Secure`, the whole site, and this host alone. */
function cookieName(c: Context): string {
  return isHttps(c) ? '__Host-rehost_session' : 'rehost_session'
}

/**
 * Whether the browser came over HTTPS: here, or at a proxy that says so. A caller who makes the header up gets a stricter cookie and
 * nothing else.
 */
function isHttps(c: Context): boolean {
  const [forwarded = ''] = (c.req.header('x-forwarded-proto') ?? '').split(',', 1)
  return new URL(c.req.url).protocol === 'https:' || forwarded.trim().toLowerCase() === 'https'
}

/** Gives the browser its session. */
export function setSessionCookie(c: Context, secret: string): void {
  setCookie(c, cookieName(c), secret, {
    path: '/',
    httpOnly: true,
    sameSite: 'Lax',
    secure: isHttps(c),
    maxAge: sessionLifetimeMs / 1000,
  })
}

/** Takes it away. */
export function clearSessionCookie(c: Context): void {
  deleteCookie(c, cookieName(c), { path: '/', secure: isHttps(c) })
}

/** Who is signed in, if anybody. */
export async function currentSession(services: Services, c: Context): Promise<SignedIn | undefined> {
  const secret = getCookie(c, cookieName(c))
  return secret === undefined ? undefined : findSession(services.store, secret, services.clock())
}

/** Lets signed-in people through and sends others to sign in, and back afterwards. @throws Refusal 401 for a live stream. */
export function requireSession(services: Services): MiddlewareHandler<PageEnv> {
  return async function requireSession(c, next) {
    const signedIn = await currentSession(services, c)
    if (signedIn === undefined) {
      // A stream that was led to the sign-in page would take it for an answer, and ask again for ever.
      if (c.req.path.endsWith('/live')) throw new Refusal(401, 'unauthenticated', 'Sign in again')
      const isPage = c.req.method === 'GET'
      const { pathname, search } = new URL(c.req.url)
      const back = isPage && pathname !== '/' ? `?next=${encodeURIComponent(pathname + search)}` : ''
      return c.redirect(`/sign-in${back}`, 303)
    }
    c.set('signedIn', signedIn)
    c.header('Cache-Control', 'no-store')
    return next()
  }
}

/** Refuses people whose role is too small. */
export function requireRole(c: Context<PageEnv>, needed: Role): void {
  const { user } = c.get('signedIn')
  if (!hasRole(user.role, needed)) {
    throw new Refusal(403, 'forbidden', `This needs the role ${needed}; ${user.userName} is ${user.role}`)
  }
}

const formTypes = /^(application\/x-www-form-urlencoded|multipart\/form-data)\b/i

/** Refuses bodies that are no form: the check of the request's origin looks at forms only. */
export const formsOnly: MiddlewareHandler = async function formsOnly(c, next) {
  const isUnsafe = c.req.method !== 'GET' && c.req.method !== 'HEAD'
  if (isUnsafe && !formTypes.test(c.req.header('content-type') ?? '')) {
    throw new Refusal(415, 'invalid-input', 'Pages take forms; programs use /api/v1')
  }
  return next()
}

/** A path of this site, whatever was asked: never another site, never a script, nothing that a header cannot carry. */
export function safeNext(next: string | undefined): string {
  return next !== undefined && /^\/(?!\/)[!-[\]-~]*$/.test(next) ? next : '/servers'
}
