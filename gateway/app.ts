/**
 * The operator port: MGN's API, the dashboard, `/api/v1`, health and metrics.
 * @module
 */
import type { Context } from 'hono'
import type { StaticFiles } from './assets.ts'
import type { LiveStreams } from './live_stream.ts'
import type { Services } from './services.ts'
import type { PageEnv } from './session_guard.ts'
import { Hono } from 'hono'
import { csrf } from 'hono/csrf'
import { secureHeaders } from 'hono/secure-headers'
import { errorPage } from '../views/error_page.ts'
import { createApi } from './api/api_app.ts'
import { audited } from './audit_log.ts'
import { limitBody } from './body_limit.ts'
import { checkHealth, healthText } from './health.ts'
import { metricsText } from './metrics.ts'
import { createMgnApp } from './mgn/mgn_app.ts'
import { addServerPages } from './pages/add_server_pages.ts'
import { jobPages } from './pages/job_pages.ts'
import { frameFor, sendPage } from './pages/page_context.ts'
import { serverListPages } from './pages/server_list_pages.ts'
import { replicationPages } from './pages/replication_pages.ts'
import { serverPages } from './pages/server_pages.ts'
import { settingsPages } from './pages/settings_pages.ts'
import { webhookPages } from './pages/webhook_pages.ts'
import { signInPages } from './pages/sign_in_pages.ts'
import { Refusal, asRefusal, logFailure, problemOf, problemResponse } from './problem.ts'
import { currentSession, formsOnly, requireSession } from './session_guard.ts'

/** No form and no call of the API is larger. */
const maxBodyBytes = 256 * 1024

/** Scripts, styles and pictures come from here alone; nothing is inline, nothing is framed. */
const headers = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
    baseUri: ["'none'"],
  },
  xFrameOptions: 'DENY',
  // With `no-referrer` browsers hide the origin of forms from us too, and the check of it would refuse them.
  referrerPolicy: 'same-origin',
  // The port speaks plain HTTP; whoever puts HTTPS before it decides on this.
  strictTransportSecurity: false,
})

/** Makes the app. */
export function createOperatorApp(
  services: Services,
  assets: StaticFiles,
  streams: LiveStreams,
): Hono<PageEnv> {
  const app = new Hono<PageEnv>()
  const context = { services, assets, streams }

  app.onError(async (error, c) => {
    const refusal = asRefusal(error)
    logFailure(services.log, c, refusal)
    // What is refused before the API has it, as a body that is too large, is a program's all the same.
    return c.req.path.startsWith('/api/v1/') ? problemResponse(c, refusal) : refusalPage(c, refusal)
  })
  app.notFound((c) => refusalPage(c, new Refusal(404, 'not-found', `There is no page at ${c.req.path}`)))
  app.use(headers)
  app.route('/', createMgnApp(services))
  app.use(limitBody(maxBodyBytes))

  app.get('/livez', (c) => c.text('ok\n'))
  app.get('/readyz', async (c) => {
    const checks = await checkHealth(services)
    const isReady = checks.every(({ isGood }) => isGood)
    return c.text(healthText(checks, c.req.query('verbose') !== undefined), isReady ? 200 : 503)
  })
  app.get('/metrics', async (c) => {
    return c.body(await metricsText(services), 200, {
      'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
    })
  })
  app.get('/static/:file', (c) => {
    const file = assets.find(c.req.path)
    if (file === undefined) return c.notFound()
    return c.body(file.body, 200, {
      'Content-Type': file.type,
      'Cache-Control': 'public, max-age=31536000, immutable',
    })
  })
  app.get('/favicon.ico', (c) => c.redirect(assets.urls.icon, 302))
  app.route('/api/v1', createApi(services))

  app.use(csrf())
  app.use(formsOnly)
  app.route('/', signInPages(context))
  app.use(requireSession(services))
  app.use(audited(services, 'PAGE', (c: Context<PageEnv>) => c.get('signedIn').user.userName))
  app.route('/', serverListPages(context))
  app.route('/', addServerPages(context))
  app.route('/', serverPages(context))
  app.route('/', replicationPages(context))
  app.route('/', jobPages(context))
  app.route('/', settingsPages(context))
  app.route('/', webhookPages(context))
  return app

  async function refusalPage(c: Context, refusal: Refusal): Promise<Response> {
    const signedIn = await currentSession(services, c).catch(() => undefined)
    const viewer = signedIn && { userName: signedIn.user.userName, role: signedIn.user.role }
    const { title, detail } = problemOf(refusal)
    for (const [name, value] of Object.entries(refusal.headers)) c.header(name, value)
    const page = sendPage(c, errorPage(frameFor(context, viewer), { title, detail }))
    return new Response(page.body, { status: refusal.status, headers: page.headers })
  }
}
