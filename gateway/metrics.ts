/**
 * `/metrics`, put together.
 * @module
 */
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { apiMetrics, webhookMetrics } from './program_metrics.ts'
import { findFigures } from './queries.ts'
import { serverMetrics } from './server_metrics.ts'

/** Everything measured, as text. What cannot be read just now is left out. */
export async function metricsText(services: Services): Promise<string> {
  const now = services.clock()
  const servers = await services.fleet.list()
  const [figures, webhooks] = await Promise.all([
    findFigures(
      services,
      servers.map(({ sourceServerId }) => sourceServerId),
    ),
    services.webhookFigures.read().catch((error: unknown) => {
      services.log.warn({ error: errorMessage(error) }, 'Cannot read how webhooks do')
    }),
  ])
  const lines = [
    ...serverMetrics(servers, figures.byServer, now, services.installation.version),
    ...apiMetrics(services.apiCounts),
    ...(webhooks === undefined ? [] : webhookMetrics(webhooks, now)),
  ]
  return `${lines.join('\n')}\n`
}
