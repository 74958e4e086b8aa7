/**
 * What happens by the clock: telemetry every second, and now and then a clean point, so that an unclean end leaves little to look at
 * again.
 * @module
 */
import type { Logger } from 'pino'
import { errorMessage } from '../domain/errors.ts'
import { pause } from './backoff.ts'
import type { Registry } from './registry.ts'
import type { TelemetrySink } from './telemetry.ts'

/** Telemetry is reported this often. */
const tickMs = 1000

/** Every so many ticks all activity logs are cleaned up, not only the long ones. */
const ticksPerCleanPoint = 15

/** Ticks until `signal` aborts. Never rejects. */
export async function runTicker(
  options: { registry: Registry; telemetry: TelemetrySink | undefined; nowMs: () => number; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { registry, telemetry, nowMs, log } = options
  let tidying: Promise<void> | undefined
  for (let tick = 1; await pause(tickMs, signal); tick++) {
    const figures = registry.servers.map((server) => ({
      isConnected: server.isConnected,
      of: server.telemetry(nowMs()),
    }))
    telemetry?.report(figures.filter((figure) => figure.isConnected).map((figure) => figure.of))
    // A slow disk must not make ticks pile up, nor keep telemetry from being reported.
    tidying ??= registry
      .tidy(tick % ticksPerCleanPoint === 0)
      .catch((error: unknown) => log.error({ err: error }, `Cannot tidy up: ${errorMessage(error)}`))
      .finally(() => {
        tidying = undefined
      })
  }
  await tidying
}
