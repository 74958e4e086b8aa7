/**
 * Forecasts in words, the same on the page and in the terminal.
 * @module
 */
import type { ForecastErrors } from './forecast_errors.ts'
import type { ConvergenceOutlook, CopyOutlook, DowntimeOutlook } from './server_forecast.ts'

/** `45 s`, `12 min`, `3.5 h`, `2.1 days`: two digits are enough of what is not known better. */
export function spanInWords(minutes: number): string {
  if (minutes < 1.5) return `${Math.round(minutes * 60)} s`
  if (minutes < 90) return `${minutes < 10 ? Number(minutes.toFixed(1)) : Math.round(minutes)} min`
  const hours = minutes / 60
  if (hours < 48) return `${hours < 10 ? Number(hours.toFixed(1)) : Math.round(hours)} h`
  const days = hours / 24
  return `${days < 10 ? Number(days.toFixed(1)) : Math.round(days)} days`
}

interface Span {
  expectedMinutes: number
  lowMinutes: number
  highMinutes?: number
}

/** `12 min (8 min to 20 min)`. */
export function intervalInWords({ expectedMinutes, lowMinutes, highMinutes }: Span): string {
  const to = highMinutes === undefined ? 'no end' : spanInWords(highMinutes)
  return `${spanInWords(expectedMinutes)} (${spanInWords(lowMinutes)} to ${to})`
}

/** What is said of a first copy, and where that comes from. */
export function copyInWords({ phase, forecast, kept, left, actualMinutes }: CopyOutlook): {
  said: string
  from?: string
} {
  const before =
    kept === undefined
      ? 'when it began, there was no record yet to forecast from'
      : kept.never !== undefined
        ? `that it never ends was said when it began, from ${recordsInWords(kept.records)}`
        : `${intervalInWords(kept)} was said when it began, from ${recordsInWords(kept.records)}`
  if (phase === 'DONE') return { said: `took ${spanInWords(actualMinutes ?? 0)}`, from: before }
  if (phase === 'COPYING')
    return {
      said: left === undefined ? 'how much is left cannot be told yet' : `${intervalInWords(left)} left`,
      from: before,
    }
  if (forecast === undefined) return { said: 'not known' }
  if (forecast.state === 'UNKNOWN') return { said: 'not known', from: forecast.because }
  if (forecast.state === 'NEVER') return { said: 'never ends', from: forecast.because }
  return { said: intervalInWords(forecast), from: forecast.basis.words }
}

function recordsInWords(records: number): string {
  return `${records} ${records === 1 ? 'record' : 'records'}`
}

/** Whether the copy comes to an end. */
export function convergenceInWords({ verdict, because }: ConvergenceOutlook): { said: string; from: string } {
  return { said: { YES: 'yes', NO: 'no', UNKNOWN: 'not known' }[verdict], from: because }
}

/** What is said of a cutover's downtime, and where that comes from; undefined where there is nothing to say. */
export function downtimeInWords({ forecast, catchUpMs, kept, actualSeconds }: DowntimeOutlook): {
  said: string
  from?: string
} {
  const minutes = (span: { expectedSeconds: number; lowSeconds: number; highSeconds: number }): string =>
    intervalInWords({
      expectedMinutes: span.expectedSeconds / 60,
      lowMinutes: span.lowSeconds / 60,
      highMinutes: span.highSeconds / 60,
    })
  if (forecast === undefined && actualSeconds !== undefined)
    return {
      said: `was ${spanInWords(actualSeconds / 60)}`,
      from: kept === undefined ? 'nothing was said before' : `${minutes(kept)} was said before`,
    }
  if (forecast === undefined) return { said: 'was not measured' }
  if (forecast.state === 'UNKNOWN') return { said: 'not known', from: forecast.because }
  const first =
    catchUpMs === undefined
      ? ''
      : `; before that the replica has to catch up, about ${spanInWords(catchUpMs / 60_000)}`
  const before =
    actualSeconds === undefined ? '' : `; the cutover before took ${spanInWords(actualSeconds / 60)}`
  return { said: minutes(forecast), from: `${forecast.basis.words}${before}${first}` }
}

/** How past forecasts held: `14 past forecasts: half were off by less than 18 %, 4 % too long on the whole, 79 % held`. */
export function errorsInWords(errors: ForecastErrors): string {
  const never = neverInWords(errors)
  return never === undefined ? timesInWords(errors) : `${timesInWords(errors)}; ${never}`
}

/** `2 were said never to end: 1 ended all the same, 1 was given up`. */
function neverInWords({ never }: ForecastErrors): string | undefined {
  if (never === undefined) return undefined
  const { came, givenUp, open } = never
  const said = came + givenUp + open
  const parts = [
    came === 0 ? [] : `${came} ended all the same`,
    givenUp === 0 ? [] : `${givenUp} ${givenUp === 1 ? 'was' : 'were'} given up before`,
    open === 0 ? [] : `${open} ${open === 1 ? 'is' : 'are'} still copied`,
  ].flat()
  return `${said} ${said === 1 ? 'was' : 'were'} said never to end, of which ${parts.join(', ')}`
}

function timesInWords({ count, medianErrorPercent, biasPercent, withinPercent }: ForecastErrors): string {
  if (count === 0 || medianErrorPercent === undefined || biasPercent === undefined)
    return 'no forecast has been held against its end yet'
  const bias =
    biasPercent === 0
      ? 'neither too long nor too short on the whole'
      : `${Math.abs(biasPercent)} % too ${biasPercent > 0 ? 'long' : 'short'} in the middle`
  return `${count} past ${count === 1 ? 'forecast' : 'forecasts'}: off by ${medianErrorPercent} % in the median, ${bias}; ${withinPercent ?? 0} % took a time within the interval`
}
