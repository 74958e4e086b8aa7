/**
 * Live figures into Redis, once a second. Redis may be away at any time: replication goes on, the log says so once, and the figures come
 * back when it does.
 * @module
 */
import type { Logger } from 'pino'
import { createClient } from 'redis'
import { telemetryKey, telemetryTtlSeconds } from '../wire/telemetry.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'

/** Where figures go. */
export interface TelemetrySink {
  /** Sends them, or drops them while there is no Redis. Never throws, never waits. */
  report(figures: readonly ServerTelemetry[]): void
  /** Drops the connection; figures under way may be lost. */
  close(): void
}

/** Connects in the background and again whenever the connection is lost. */
export function redisTelemetry(url: string, log: Logger): TelemetrySink {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: {
      reconnectStrategy: (retries) => Math.min(100 * 2 ** Math.min(retries, 6), 5000),
      connectTimeout: 5000,
    },
  })
  let isAway = false
  let isSending = false
  const isAwayNow = (error: unknown): void => {
    if (!isAway) log.warn({ err: error }, 'Redis is away: live figures are not reported, replication goes on')
    isAway = true
  }
  client.on('error', isAwayNow)
  client.on('ready', () => {
    if (isAway) log.info('Redis is back: live figures are reported again')
    isAway = false
  })
  client.connect().catch(isAwayNow)
  const send = async (figures: readonly ServerTelemetry[]): Promise<void> => {
    await Promise.all(
      figures.map((figure) =>
        client.set(telemetryKey(figure.sourceServerId), JSON.stringify(figure), {
          expiration: { type: 'EX', value: telemetryTtlSeconds },
        }),
      ),
    )
  }
  return {
    report(figures) {
      // A Redis that answers slowly must not collect a queue here.
      if (!client.isReady || isSending || figures.length === 0) return
      isSending = true
      send(figures)
        .catch(isAwayNow)
        .finally(() => {
          isSending = false
        })
        .catch(isAwayNow)
    },
    close() {
      client.destroy()
    },
  }
}
