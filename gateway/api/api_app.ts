/**
 * `/api/v1`: everything the pages do, for programs. JSON in and out, problem+json for refusals.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { InvalidInputError } from '../../domain/errors.ts'
import { Refusal, asRefusal, logFailure, problemResponse } from '../problem.ts'
import { accessKeyRoutes } from './access_key_routes.ts'
import { apiTokenRoutes } from './api_token_routes.ts'
import { installationRoutes } from './installation_routes.ts'
import { audited } from '../audit_log.ts'
import { auditRoutes } from './audit_routes.ts'
import { actorOf, requireToken } from './bearer.ts'
import { bandwidthRoutes } from './bandwidth_routes.ts'
import { forecastRoutes } from './forecast_routes.ts'
import { jobRoutes } from './job_routes.ts'
import { limitRate } from './rate_headers.ts'
import { parameterRoutes } from './parameter_routes.ts'
import { recordRoutes } from './record_routes.ts'
import { serverRoutes } from './server_routes.ts'
import { idempotent } from './idempotency.ts'
import { eventRoutes } from './event_routes.ts'
import { tokenRoutes } from './token_routes.ts'
import { webhookRoutes } from './webhook_routes.ts'

async function describe(version: string): Promise<string> {
  const { openApiDocument } = await import('./openapi.ts')
  return JSON.stringify(openApiDocument(version))
}

/** A request that has no body can only be wrong in its query or a header: 400, whoever of us reads that. */
function refusalOf(method: string, error: unknown): Refusal {
  const refusal = asRefusal(error)
  if (!['GET', 'HEAD', 'DELETE'].includes(method) || !(error instanceof InvalidInputError)) return refusal
  return new Refusal(400, refusal.kind, refusal.message, { cause: error })
}

/** Makes the API. */
export function createApi(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.onError((error, c) => {
    const refusal = refusalOf(c.req.method, error)
    logFailure(services.log, c, refusal)
    return problemResponse(c, refusal)
  })
  app.use(async (c, next) => {
    await next()
    services.apiCounts.note('v1', c.res.status)
  })
  // Made when it is first asked for: nothing else needs the schemas of answers, and making them would be a tenth of starting.
  let described: Promise<string> | undefined
  // What there is is no secret.
  app.get('/openapi.json', async (c) => {
    described ??= describe(services.installation.version)
    return c.body(await described, 200, { 'Content-Type': 'application/json' })
  })
  app.use(requireToken(services))
  app.use(limitRate(services))
  // Before the audit log: what is only answered again is not done again.
  app.use(idempotent(services))
  app.use(audited(services, 'API', actorOf))
  app.route('/servers', serverRoutes(services))
  app.route('/bandwidth', bandwidthRoutes(services))
  app.route('/forecasts', forecastRoutes(services))
  app.route('/jobs', jobRoutes(services))
  app.route('/replication-records', recordRoutes(services))
  app.route('/tokens', tokenRoutes(services))
  app.route('/access-keys', accessKeyRoutes(services))
  app.route('/api-tokens', apiTokenRoutes(services))
  app.route('/installation', installationRoutes(services))
  app.route('/parameters', parameterRoutes(services))
  app.route('/webhooks', webhookRoutes(services))
  app.route('/events', eventRoutes(services))
  app.route('/audit', auditRoutes(services))
  app.all('*', (c) =>
    problemResponse(c, new Refusal(404, 'not-found', `There is nothing at ${c.req.method} ${c.req.path}`)),
  )
  return app
}
