/**
 * Forecasts, and how past ones held. What they are learned from is read once a minute at most.
 * @module
 */
import type { ForecastErrors, HeldForecast } from '../domain/forecast_errors.ts'
import type { CopyForecaster } from '../domain/initial_replication.ts'
import type { CopyForecast } from '../domain/initial_forecast.ts'
import type { CopyPace, PaceQuestion, PastCopy } from '../domain/copy_pace.ts'
import type { LaunchHistory } from '../domain/downtime.ts'
import type { ReplicationRecord } from '../domain/replication_record.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ForecastAccuracy, ForecastView } from './api/answers/forecast_answers.ts'
import type { ForecastMaker } from './forecast_maker.ts'
import type { Services } from './services.ts'
import { limitAhead } from '../domain/bandwidth_ahead.ts'
import { learnPace, pastCopies } from '../domain/copy_pace.ts'
import { cutoverDowntime, launchHistory } from '../domain/downtime.ts'
import { errorMessage } from '../domain/errors.ts'
import { forecastErrors, neverSaid } from '../domain/forecast_errors.ts'
import { copyAheadOf, forecastCopy, keptForecast } from '../domain/initial_forecast.ts'
import { hasBegun, serverForecast, writtenBytesPerSecond } from '../domain/server_forecast.ts'
import { readBandwidthSettings } from './bandwidth_settings.ts'
import { withDeadline } from './deadline.ts'

/** A record more or less changes little, and all of them are read to learn. */
const recordsAgeMs = 60_000

/** Records that could not be read are not asked for again before this time: pages come every second. */
const askAgainMs = 10_000

/** Agents wait for the answer to their heartbeat: what takes longer is done without. */
const heartbeatDeadlineMs = 2000

/** Records that have not come after this time are worth a line; no page waits for so long. */
const recordsLateMs = 1500

/** What they are made with. */
export type ForecastServices = Pick<Services, 'store' | 'records' | 'fleet' | 'clock' | 'log'>

interface Learned {
  /** Records that it is from. */
  count: number
  copies: readonly PastCopy[]
  errors: ForecastErrors
  /** Of those that were said never to end. */
  endless: readonly ReplicationRecord[]
  /** By question. */
  paces: Map<string, CopyPace | undefined>
}

/** Makes them. */
export class Forecasts implements ForecastMaker {
  readonly #services: ForecastServices
  #learned: { atMs: number; value: Promise<Learned> } | undefined

  constructor(services: ForecastServices) {
    this.#services = services
  }

  async of(server: SourceServer): Promise<ForecastView> {
    const { fleet, clock } = this.#services
    const servers = await fleet.list()
    const learned = await this.#learn()
    const ahead = hasBegun(server) ? undefined : (await this.#ahead(server, learned))(server)
    return {
      ...serverForecast(server, ahead, launchHistory(servers), clock()),
      accuracy: accuracyOf(learned, servers),
    }
  }

  async accuracy(): Promise<ForecastAccuracy> {
    const servers = await this.#services.fleet.list()
    return accuracyOf(await this.#learn(), servers)
  }

  async pastLaunches(): Promise<LaunchHistory[]> {
    try {
      return launchHistory(await this.#services.fleet.list())
    } catch (error) {
      this.#services.log.warn({ error: errorMessage(error) }, 'Cannot forecast the downtime of a cutover')
      return []
    }
  }

  async forecaster(known: SourceServer): Promise<CopyForecaster> {
    try {
      const made = async () => this.#ahead(known, await this.#learn())
      const ahead = await withDeadline(made(), heartbeatDeadlineMs, 'the records of initial replications')
      const at = this.#services.clock().toISOString()
      return (server) => keptForecast(ahead(server), at)
    } catch (error) {
      this.#services.log.warn(
        { sourceServerId: known.sourceServerId, error: errorMessage(error) },
        'Cannot forecast an initial replication',
      )
      return () => undefined
    }
  }

  /** What forecasts the copy of `known`, or of a version of it that is a moment newer. */
  async #ahead(known: SourceServer, learned: Learned): Promise<(server: SourceServer) => CopyForecast> {
    const { store, fleet, clock } = this.#services
    const settings = await readBandwidthSettings(store)
    const others = known.replicationConfiguration.site === undefined ? [] : await fleet.list()
    const now = clock()
    return (server) => {
      const limit = limitAhead(server, settings, others, now)
      const ahead = copyAheadOf(server, limit, writtenBytesPerSecond(server))
      return forecastCopy(ahead, learned.copies, (_copies, question) => paceOf(learned, question))
    }
  }

  #learn(): Promise<Learned> {
    const { records, clock, log } = this.#services
    const nowMs = clock().getTime()
    const held = this.#learned
    if (held !== undefined && Math.abs(nowMs - held.atMs) < recordsAgeMs) return held.value
    const before = held?.value.catch(() => undefined)
    // Once for each reading, which begins at most once in {@link askAgainMs}, however many pages wait for it.
    const late = setTimeout(() => {
      log.warn(
        { lateMs: recordsLateMs },
        'The records that forecasts are learned from do not come: pages are shown without',
      )
    }, recordsLateMs)
    late.unref()
    const value = records.list().then(async (found): Promise<Learned> => {
      const known = await before
      // A record is written once, so as many as before are the same ones.
      if (known?.count === found.records.length) return known
      return {
        count: found.records.length,
        copies: pastCopies(found.records),
        errors: copyErrors(found.records),
        endless: found.records.filter(({ isForecastNever }) => isForecastNever === true),
        paces: new Map(),
      }
    })
    this.#learned = { atMs: nowMs, value }
    void value.catch(() => undefined).finally(() => clearTimeout(late))
    value.catch((error: unknown) => {
      log.warn({ error: errorMessage(error) }, 'Cannot read the records that forecasts are learned from')
      this.#learned = { atMs: nowMs - recordsAgeMs + askAgainMs, value }
    })
    return value
  }
}

/** Learning goes through all records for each of them: it is done once for each kind of question. */
function paceOf({ copies, paces }: Learned, question: PaceQuestion): CopyPace | undefined {
  const key = JSON.stringify(question)
  if (!paces.has(key)) paces.set(key, learnPace(copies, question))
  return paces.get(key)
}

function accuracyOf({ errors, endless }: Learned, servers: readonly SourceServer[]): ForecastAccuracy {
  const never = neverSaid(endless, servers)
  return {
    initialReplications: { ...errors, ...(never === undefined ? {} : { never }) },
    cutovers: cutoverErrors(servers),
  }
}

function copyErrors(records: readonly ReplicationRecord[]): ForecastErrors {
  const held = records.flatMap((record): HeldForecast[] => {
    const { forecastMinutes: expected, forecastLowMinutes: low, forecastHighMinutes: high } = record
    const { replicationStartedAt: from, readyForTestAt } = record
    if (expected === undefined || low === undefined || from === undefined) return []
    const actual = (Date.parse(readyForTestAt) - Date.parse(from)) / 60_000
    return [{ expected, low, ...(high === undefined ? {} : { high }), actual }]
  })
  return forecastErrors(held)
}

function cutoverErrors(servers: readonly SourceServer[]): ForecastErrors {
  const held = servers.flatMap((server): HeldForecast[] => {
    const { forecast, actualSeconds: actual = 0 } = cutoverDowntime(server) ?? {}
    if (forecast === undefined) return []
    const { expectedSeconds: expected, lowSeconds: low, highSeconds: high } = forecast
    return [{ expected, low, high, actual }]
  })
  return forecastErrors(held)
}
