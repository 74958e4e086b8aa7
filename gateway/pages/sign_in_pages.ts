/**
 * Signing in and out.
 * @module
 */
import type { PageContext } from './page_context.ts'
import type { PageEnv } from '../session_guard.ts'
import { Hono } from 'hono'
import { signInPage } from '../../views/sign_in.ts'
import { checkPassword, isUser } from '../people/accounts.ts'
import { endSession, startSession } from '../people/sessions.ts'
import { limitKey } from '../request.ts'
import { clearSessionCookie, currentSession, safeNext, setSessionCookie } from '../session_guard.ts'
import { frameFor, readForm, sendPage } from './page_context.ts'

/** The routes. */
export function signInPages(context: PageContext): Hono<PageEnv> {
  const { services } = context
  const app = new Hono<PageEnv>()

  app.get('/sign-in', async (c) => {
    const next = safeNext(c.req.query('next'))
    if ((await currentSession(services, c)) !== undefined) return c.redirect(next, 303)
    return sendPage(c, signInPage(frameFor(context, undefined), { userName: '', next }))
  })

  app.post('/sign-in', async (c) => {
    const { userName = '', password = '', next } = await readForm(c)
    const limiter = services.rateLimits.signIn
    const address = services.trustedProxies.callerAddress(c)
    const caller = limitKey(address)
    const refuse = (problem: string, status: 401 | 429) =>
      sendPage(
        c,
        signInPage(frameFor(context, undefined), {
          userName: userName.slice(0, 128),
          next: safeNext(next),
          problem,
        }),
        status,
      )
    const wait = limiter.waitSeconds(caller)
    if (wait > 0) {
      c.header('Retry-After', String(wait))
      return refuse(`Too many wrong passwords. Try again in ${Math.ceil(wait / 60)} min.`, 429)
    }
    // Counted before the slow check, so that many tries at once are counted too.
    limiter.fail(caller)
    const user = await checkPassword(services.store, userName, password)
    const fact = { via: 'PAGE', action: 'SIGN_IN', address } as const
    if (user === undefined) {
      // Some enter their password where the name belongs: what is nobody's name is not kept.
      const actor = (await isUser(services.store, userName)) ? userName : 'nobody known'
      await services.audit.append({ ...fact, actor, outcome: 'REFUSED', status: 401 })
      return refuse('User name or password is wrong.', 401)
    }
    await services.audit.append({ ...fact, actor: user.userName, outcome: 'ASKED' })
    limiter.succeed(caller)
    const before = await currentSession(services, c)
    if (before !== undefined) await endSession(services.store, before.sessionSha256)
    setSessionCookie(c, await startSession(services.store, user, services))
    return c.redirect(safeNext(next), 303)
  })

  app.post('/sign-out', async (c) => {
    const signedIn = await currentSession(services, c)
    if (signedIn !== undefined) {
      const address = services.trustedProxies.callerAddress(c)
      const actor = signedIn.user.userName
      await services.audit.append({ actor, via: 'PAGE', action: 'SIGN_OUT', address, outcome: 'ASKED' })
      await endSession(services.store, signedIn.sessionSha256)
    }
    clearSessionCookie(c)
    return c.redirect('/sign-in', 303)
  })
  return app
}
