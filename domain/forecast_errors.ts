/**
 * How well forecasts held: what was said before against what came of it. Pure.
 * @module
 */
import type { ReplicationRecord } from './replication_record.ts'
import type { SourceServer } from './source_server.ts'
import { median } from './log_spread.ts'

/** One forecast whose end is known; in any unit of time, the same for all. */
export interface HeldForecast {
  expected: number
  low: number
  /** Absent where it said that it may never end. */
  high?: number
  actual: number
}

/** Of several. Percentages are of what it took in truth; those that have nothing to be counted from are absent. */
export interface ForecastErrors {
  count: number
  /** Half of the forecasts were off by less. */
  medianErrorPercent?: number
  /** The middle of all errors with their signs: above 0, forecasts were too long. */
  biasPercent?: number
  /** Of a hundred, so many took a time within their interval. */
  withinPercent?: number
  /** Copies that were said never to end; they are in none of the figures above. Absent where that was said of none. */
  never?: NeverSaid
}

/** What came of copies that were said never to end. */
export interface NeverSaid {
  /** They ended, so it was wrong. */
  came: number
  /** They had not ended when their server was disconnected. */
  givenUp: number
  /** They are still copied. */
  open: number
}

/** What came of those of which `records` and `servers` say that they were said never to end; undefined of none. */
export function neverSaid(
  records: readonly ReplicationRecord[],
  servers: readonly SourceServer[],
): NeverSaid | undefined {
  const came = records.filter(({ isForecastNever }) => isForecastNever === true).length
  const unended = servers.filter(
    ({ copyForecast, lifecycle }) =>
      copyForecast?.never !== undefined && lifecycle.readyForTestAt === undefined,
  )
  const givenUp = unended.filter(({ lifecycle }) => lifecycle.state === 'DISCONNECTED').length
  const open = unended.length - givenUp
  return came + unended.length === 0 ? undefined : { came, givenUp, open }
}

/** What came of `held`. */
export function forecastErrors(held: readonly HeldForecast[]): ForecastErrors {
  const errors = held.flatMap(({ expected, actual }) =>
    actual > 0 ? [((expected - actual) / actual) * 100] : [],
  )
  const medianErrorPercent = median(errors.map(Math.abs))
  const biasPercent = median(errors)
  const within = held.filter(({ low, high = Infinity, actual }) => actual >= low && actual <= high)
  return {
    count: held.length,
    ...(medianErrorPercent === undefined ? {} : { medianErrorPercent: Math.round(medianErrorPercent) }),
    ...(biasPercent === undefined ? {} : { biasPercent: Math.round(biasPercent) }),
    ...(held.length === 0 ? {} : { withinPercent: Math.round((100 * within.length) / held.length) }),
  }
}
