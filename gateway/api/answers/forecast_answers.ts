/**
 * Forecasts as they are answered.
 * @module
 */
import type { DowntimeForecast } from '../../../domain/downtime.ts'
import type { ForecastErrors } from '../../../domain/forecast_errors.ts'
import type { CopyForecast } from '../../../domain/initial_forecast.ts'
import type { ServerForecast } from '../../../domain/server_forecast.ts'
import { z } from 'zod'
import { amount, answerOf, bytes, count, percent } from './answer_schema.ts'
import { keptCopyForecast, keptDowntimeForecast, minutesAhead } from './forecast_parts.ts'

const errors = answerOf<ForecastErrors>()(
  z
    .object({
      count,
      medianErrorPercent: amount.exactOptional(),
      biasPercent: percent.exactOptional(),
      withinPercent: amount.exactOptional(),
      never: z.object({ came: count, givenUp: count, open: count }).exactOptional().meta({
        description: 'What came of first copies that were said never to end; they are in none of the others',
      }),
    })
    .meta({ id: 'ForecastErrors', description: 'How far past forecasts were off' }),
)

/** How past forecasts held. */
export const forecastAccuracy = z
  .object({ initialReplications: errors, cutovers: errors })
  .meta({ id: 'ForecastAccuracy', description: 'How past forecasts held' })
export type ForecastAccuracy = z.infer<typeof forecastAccuracy>

const basis = z
  .object({
    records: count,
    likeRecords: count,
    heldBackBy: z.enum(['LINK', 'LIMIT']),
    linkBytesPerSecond: amount,
    copiedBytesPerSecond: amount,
    carriedBytesPerSecond: amount,
    limitBytesPerSecond: amount.exactOptional(),
    changedBytesPerSecond: amount.exactOptional(),
    usedBytes: bytes.exactOptional(),
    fileSystemBytes: bytes.exactOptional(),
    words: z.string(),
  })
  .meta({ id: 'ForecastBasis', description: 'What a forecast comes from' })

const copyForecast = answerOf<CopyForecast>()(
  z
    .discriminatedUnion('state', [
      z.object({ state: z.literal('UNKNOWN'), because: z.string() }),
      z.object({ state: z.literal('NEVER'), because: z.string(), basis }),
      z.object({ state: z.literal('EXPECTED'), basis, ...minutesAhead }),
    ])
    .meta({ id: 'CopyForecast', description: 'How long a first copy will take' }),
)

const downtimeForecast = answerOf<DowntimeForecast>()(
  z
    .discriminatedUnion('state', [
      z.object({ state: z.literal('UNKNOWN'), because: z.string() }),
      z.object({
        state: z.literal('EXPECTED'),
        expectedSeconds: amount,
        lowSeconds: amount,
        highSeconds: amount,
        coveragePercent: amount,
        beforePointSeconds: amount,
        basis: z.object({ launches: count, isOwnTest: z.boolean(), words: z.string() }),
      }),
    ])
    .meta({ id: 'DowntimeForecast', description: 'How long the downtime of a cutover will be' }),
)

const ofServer = answerOf<ServerForecast>()(
  z.object({
    sourceServerId: z.string(),
    initialReplication: z.object({
      phase: z.enum(['NOT_STARTED', 'COPYING', 'DONE']),
      forecast: copyForecast.exactOptional(),
      kept: keptCopyForecast.exactOptional(),
      left: z
        .object({ expectedMinutes: amount, lowMinutes: amount, highMinutes: amount.exactOptional() })
        .exactOptional(),
      actualMinutes: amount.exactOptional(),
    }),
    convergence: z.object({
      verdict: z.enum(['YES', 'NO', 'UNKNOWN']),
      because: z.string(),
      changedBytesPerSecond: amount.exactOptional(),
      copiedBytesPerSecond: amount.exactOptional(),
    }),
    downtime: z.object({
      forecast: downtimeForecast.exactOptional(),
      catchUpMs: amount.exactOptional(),
      kept: keptDowntimeForecast.exactOptional(),
      actualSeconds: amount.exactOptional(),
    }),
  }),
)

/** A forecast with how past ones held. */
export const serverForecast = ofServer
  .extend({ accuracy: forecastAccuracy })
  .meta({ id: 'Forecast', description: 'All that is forecast of a server, and how past forecasts held' })
export type ForecastView = z.infer<typeof serverForecast>
