/**
 * Live figures in Redis. Nothing is decided from them, so trouble in reading them shows as figures missing, never as a failed page.
 * @module
 */
import type { ServerTelemetry } from '../wire/telemetry.ts'
import { serverTelemetrySchema, telemetryKey } from '../wire/telemetry.ts'
import { parseJson } from './request.ts'

/** Reads and offers figures. */
export interface TelemetryStore {
  /** The figures there are for `sourceServerIds`; those without are not in the map. @throws TelemetryAwayError while Redis is away. */
  read(sourceServerIds: readonly string[]): Promise<Map<string, ServerTelemetry>>
  /**
   * Stores an agent's own figures for a few seconds, unless its replicator reports: that one measures what is durable.
   * @throws TelemetryAwayError while Redis is away.
   */
  offer(telemetry: ServerTelemetry): Promise<void>
}

/** Figures cannot be had now, because Redis is away. It has been logged once, by the connection itself. */
export class TelemetryAwayError extends Error {
  override name = 'TelemetryAwayError'
}

/** The part of a Redis client that this needs. */
export interface TelemetryRedis {
  /** False while the connection is down: commands would wait for it to come back, and pile up meanwhile. */
  readonly isReady: boolean
  mGet(keys: string[]): Promise<(string | null)[]>
  set(
    key: string,
    value: string,
    options: { condition: 'NX'; expiration: { type: 'EX'; value: number } },
  ): Promise<unknown>
}

/** An agent's own figures live this long: it reports again before that. */
const offeredTtlSeconds = 5

/** A server whose figures are there is tried again after this time: they may be the last of its replicator. */
const refusedRestMs = 2000

const sweepEveryMs = 60_000

/** Figures in Redis. */
export class RedisTelemetry implements TelemetryStore {
  readonly #redis: TelemetryRedis
  readonly #nowMs: () => number
  /** From when on each server's figures are offered again: before that Redis would most likely refuse them. */
  readonly #nextOfferMs = new Map<string, number>()
  #sweptAtMs = -Infinity

  /** @param nowMs monotonic milliseconds. */
  constructor(redis: TelemetryRedis, nowMs: () => number = () => performance.now()) {
    this.#redis = redis
    this.#nowMs = nowMs
  }

  async read(sourceServerIds: readonly string[]): Promise<Map<string, ServerTelemetry>> {
    if (sourceServerIds.length === 0) return new Map()
    this.#refuseIfAway()
    const texts = await this.#redis.mGet(sourceServerIds.map(telemetryKey))
    return readAll(texts)
  }

  async offer(telemetry: ServerTelemetry): Promise<void> {
    this.#refuseIfAway()
    const nowMs = this.#nowMs()
    if (nowMs < (this.#nextOfferMs.get(telemetry.sourceServerId) ?? -Infinity)) return
    this.#sweep(nowMs)
    const answer = await this.#redis.set(telemetryKey(telemetry.sourceServerId), JSON.stringify(telemetry), {
      condition: 'NX',
      expiration: { type: 'EX', value: offeredTtlSeconds },
    })
    // Counted from the answer: it must not end before the figures do.
    const restMs = answer === 'OK' ? offeredTtlSeconds * 1000 : refusedRestMs
    this.#nextOfferMs.set(telemetry.sourceServerId, this.#nowMs() + restMs)
  }

  /** Forgets servers that no longer report. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < sweepEveryMs) return
    this.#sweptAtMs = nowMs
    for (const [id, atMs] of this.#nextOfferMs) if (atMs <= nowMs) this.#nextOfferMs.delete(id)
  }

  #refuseIfAway(): void {
    if (!this.#redis.isReady) throw new TelemetryAwayError('Redis is away')
  }
}

/** Decodes what is well formed; a figure of another version is left out. */
function readAll(texts: readonly (string | null)[]): Map<string, ServerTelemetry> {
  const found = new Map<string, ServerTelemetry>()
  for (const text of texts) {
    if (text === null) continue
    const parsed = serverTelemetrySchema.safeParse(parseJson(text))
    if (parsed.success) found.set(parsed.data.sourceServerId, parsed.data)
  }
  return found
}
