/**
 * What is forecast of a server, with where it comes from and how such forecasts have held.
 * @module
 */
import type { ForecastErrors } from '../../domain/forecast_errors.ts'
import type { ServerForecast } from '../../domain/server_forecast.ts'
import type { Html } from '../html.ts'
import {
  convergenceInWords,
  copyInWords,
  downtimeInWords,
  errorsInWords,
} from '../../domain/forecast_words.ts'
import { html, nothing } from '../html.ts'
import { card, facts } from '../parts.ts'

/** What the card shows. */
export interface ForecastModel extends ServerForecast {
  accuracy: { initialReplications: ForecastErrors; cutovers: ForecastErrors }
}

/** What is missing instead of a forecast: nothing can be read that it is made from, or not in time for the page. */
export type MissingForecast = 'LATE' | undefined

/** The card; a part that live updates replace. */
export function forecastCard(forecast: ForecastModel | MissingForecast): Html {
  if (forecast === undefined || forecast === 'LATE') {
    const why =
      forecast === 'LATE'
        ? 'It could not be made in time: the records that it is made from have not come yet. The page tries again.'
        : 'The records that it is made from cannot be read now.'
    return card('Forecast', html`<p class="muted">${why}</p>`, { id: 'forecast', picture: 'clock' })
  }
  const { initialReplication, convergence, downtime, accuracy } = forecast
  const isCopied = initialReplication.phase === 'DONE'
  return card(
    'Forecast',
    facts([
      ['Initial replication', saying(copyInWords(initialReplication))],
      ['How such forecasts held', isCopied ? undefined : errorsInWords(accuracy.initialReplications)],
      ['Comes to an end', isCopied ? undefined : saying(convergenceInWords(convergence))],
      ['Downtime of the cutover', saying(downtimeInWords(downtime))],
      ['How forecasts of downtimes held', isCopied ? errorsInWords(accuracy.cutovers) : undefined],
    ]),
    { id: 'forecast', picture: 'clock' },
  )
}

function saying({ said, from }: { said: string; from?: string }): Html {
  return html`${said}${from === undefined ? nothing : html` <span class="row-sub">${from}</span>`}`
}
