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

/** The card; a part that live updates replace. `forecast` is undefined while nothing can be read that it is made from. */
export function forecastCard(forecast: ForecastModel | undefined): Html {
  if (forecast === undefined)
    return card('Forecast', html`<p class="muted">The records that it is made from cannot be read now.</p>`, {
      id: 'forecast',
      picture: 'clock',
    })
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
