/**
 * What the gateway's handlers need of forecasts.
 * @module
 */
import type { LaunchHistory } from '../domain/downtime.ts'
import type { CopyForecaster } from '../domain/initial_replication.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ForecastAccuracy, ForecastView } from './api/answers/forecast_answers.ts'

/** Makes forecasts. */
export interface ForecastMaker {
  /** Everything that is forecast of `server`. */
  of(server: SourceServer): Promise<ForecastView>
  /** How past forecasts held. */
  accuracy(): Promise<ForecastAccuracy>
  /** The launches from which downtimes are forecast; none while they cannot be had, as no cutover waits for that. */
  pastLaunches(): Promise<LaunchHistory[]>
  /**
   * What says how long the copy of `known` will take, whose first byte a heartbeat has just told of. It says nothing when the records cannot be had
   * at once: no heartbeat waits for that.
   */
  forecaster(known: SourceServer): Promise<CopyForecaster>
}
