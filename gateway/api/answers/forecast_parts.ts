/**
 * Forecasts as a server keeps them, in answers.
 * @module
 */
import type { KeptCopyForecast, KeptDowntimeForecast, LaunchTimes } from '../../../domain/forecast.ts'
import { z } from 'zod'
import { amount, answerOf, count, moment } from './answer_schema.ts'
import { jobId } from './server_parts.ts'

/** A span of time with how sure it is. */
export const minutesAhead = {
  expectedMinutes: amount,
  lowMinutes: amount,
  highMinutes: amount.exactOptional(),
  coveragePercent: amount,
}

/** What was said of a first copy when its first byte arrived. */
export const keptCopyForecast = answerOf<KeptCopyForecast>()(
  z
    .union([
      z.object({ ...minutesAhead, madeAt: moment, records: count }),
      z.object({ never: z.object({ because: z.string() }), madeAt: moment, records: count }),
    ])
    .meta({
      id: 'KeptCopyForecast',
      description: 'What was said of a first copy when its first byte arrived: a time, or that it never ends',
    }),
)

/** What was expected of a cutover when it was asked for. */
export const keptDowntimeForecast = answerOf<KeptDowntimeForecast>()(
  z
    .object({
      jobId,
      madeAt: moment,
      expectedSeconds: amount,
      lowSeconds: amount,
      highSeconds: amount,
      coveragePercent: amount,
    })
    .meta({
      id: 'KeptDowntimeForecast',
      description: 'The downtime that was expected of a cutover when it was asked for',
    }),
)

const launchTime = z
  .object({ jobId, askedAt: moment, pointAt: moment, upAt: moment })
  .meta({ id: 'LaunchTime', description: 'How long a launch took that went well' })

/** A server's launches. */
export const launchTimes = answerOf<LaunchTimes>()(
  z.object({
    test: launchTime.exactOptional(),
    cutover: launchTime.exactOptional(),
    forecast: keptDowntimeForecast.exactOptional(),
  }),
)
