/**
 * What `/metrics` says of programs: their calls, and the webhooks that they get.
 * @module
 */
import type { ApiCounts } from './api_counts.ts'
import type { EndpointFigures } from './webhook_figures.ts'
import { countedApis, statusClasses } from './api_counts.ts'
import { family } from './metric_format.ts'
import { attemptOutcomes } from './webhook_figures.ts'

/** Calls of both APIs, by status. */
export function apiMetrics(counts: ApiCounts): string[] {
  return [
    ...family(
      'rehost_api_requests_total',
      'Calls of programs that this gateway has answered, by API and status.',
      countedApis.flatMap((api) =>
        statusClasses.map(
          (status) =>
            `rehost_api_requests_total{api="${api}",status="${status}"} ${counts.calls(api, status)}`,
        ),
      ),
      'counter',
    ),
    ...family(
      'rehost_api_rate_limited_total',
      'Calls refused because a token or an access key makes too many.',
      countedApis.map((api) => `rehost_api_rate_limited_total{api="${api}"} ${counts.limited(api)}`),
      'counter',
    ),
  ]
}

/** How webhooks do. */
export function webhookMetrics(endpoints: readonly EndpointFigures[], now: Date): string[] {
  const perEndpoint = (name: string, valueOf: (endpoint: EndpointFigures) => number): string[] =>
    endpoints.map((endpoint) => `${name}{webhook_id="${endpoint.webhookId}"} ${valueOf(endpoint)}`)
  const secondsSince = (at: string | undefined): number =>
    at === undefined ? 0 : Math.max(0, now.getTime() - Date.parse(at)) / 1000
  return [
    ...family(
      'rehost_webhook_enabled',
      'Whether events are sent to the webhook: 1, or 0 when it is disabled.',
      perEndpoint('rehost_webhook_enabled', ({ isEnabled }) => (isEnabled ? 1 : 0)),
    ),
    ...family(
      'rehost_webhook_lanes_waiting',
      'Servers with events that wait to be sent to the webhook.',
      perEndpoint('rehost_webhook_lanes_waiting', ({ lanesWaiting }) => lanesWaiting),
    ),
    ...family(
      'rehost_webhook_oldest_waiting_seconds',
      'For how long the oldest of them has waited; 0 when nothing waits.',
      perEndpoint('rehost_webhook_oldest_waiting_seconds', ({ waitingSince }) => secondsSince(waitingSince)),
    ),
    ...family(
      'rehost_webhook_attempts_total',
      'Tries since this gateway started, about 90 s late. Of a dead one the delivery was given up: a dead letter.',
      endpoints.flatMap(({ webhookId, attempts }) =>
        attemptOutcomes.map(
          (outcome) =>
            `rehost_webhook_attempts_total{webhook_id="${webhookId}",outcome="${outcome.toLowerCase()}"} ${attempts[outcome]}`,
        ),
      ),
      'counter',
    ),
  ]
}
