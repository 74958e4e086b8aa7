/**
 * What each server may send now. Nothing of it is stored: settings are read again every few seconds, and a site's bandwidth is divided again as its
 * servers' use of it changes. Several gateways come to the same, because they see the same figures.
 * @module
 */
import type { Allowance, BandwidthSettings, Site } from '../domain/bandwidth.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'
import type { Allowances } from './allowances.ts'
import type { Services } from './services.ts'
import { noBandwidthSettings, ownAllowance, siteOf, withinShare } from '../domain/bandwidth.ts'
import { errorMessage } from '../domain/errors.ts'
import { defaultPriority, divideBudget, wantedBitsPerSecond } from '../domain/site_budget.ts'
import { readBandwidthSettings } from './bandwidth_settings.ts'
import { findFigures } from './queries.ts'

/** A change of the settings is acted on within this time, and a heartbeat more. */
const settingsAgeMs = 2000

/** A site is divided anew this often at most. */
const divisionAgeMs = 1000

/** Use is measured over at least this time: figures come once a second. */
const measuredMs = 2000

/** A server that has not been heard for this long has no share; it is given one with its next heartbeat. */
const silentMs = 30_000

/** What the plan works with. */
export type PlanServices = Pick<Services, 'store' | 'fleet' | 'telemetry' | 'clock' | 'log'>

/** A server's counter of the wire, when it was read, and the speed found from it. */
interface Use {
  atMs: number
  wireBytes: number
  bitsPerSecond: number | undefined
}

/** A site's bandwidth as it was divided, in bits a second by server. */
interface Division {
  shares: ReadonlyMap<string, number>
  uses: ReadonlyMap<string, Use>
}

const undivided: Division = { shares: new Map(), uses: new Map() }

/** The plan. */
export class BandwidthPlan implements Allowances {
  readonly #services: PlanServices
  readonly #divisions = new Map<string, { atMs: number; division: Promise<Division> }>()
  #settings: { atMs: number; value: Promise<BandwidthSettings> } | undefined

  constructor(services: PlanServices) {
    this.#services = services
  }

  /** What `server` may send now. */
  async allowanceOf(server: SourceServer): Promise<Allowance> {
    const now = this.#services.clock()
    const settings = await this.#currentSettings(now)
    const own = ownAllowance(server, settings, now)
    const site = siteOf(server, settings)
    if (site === undefined || own.isOff) return own
    const { shares } = await this.#divided(site, settings, now, server)
    return withinShare(own, shares.get(server.sourceServerId), site.name)
  }

  #currentSettings(now: Date): Promise<BandwidthSettings> {
    const held = this.#settings
    if (held !== undefined && isYounger(held, settingsAgeMs, now)) return held.value
    const value = readBandwidthSettings(this.#services.store).catch((error: unknown) => {
      // Replication must not stop for a limit that cannot be read: the last one known holds.
      this.#services.log.warn({ error: errorMessage(error) }, 'Cannot read the bandwidth settings')
      return held?.value ?? noBandwidthSettings
    })
    this.#settings = { atMs: now.getTime(), value }
    return value
  }

  /** The division that holds now, `asking` among those that have a share. */
  async #divided(
    site: Site,
    settings: BandwidthSettings,
    now: Date,
    asking: SourceServer,
  ): Promise<Division> {
    const held = this.#divisions.get(site.name)
    if (held !== undefined && isYounger(held, divisionAgeMs, now)) {
      const division = await held.division
      if (division.shares.has(asking.sourceServerId)) return division
    }
    const before = held?.division.catch(() => undivided) ?? Promise.resolve(undivided)
    const division = before.then((known) => this.#divide(site, settings, now, asking, known))
    this.#divisions.set(site.name, { atMs: now.getTime(), division })
    return division
  }

  async #divide(
    site: Site,
    settings: BandwidthSettings,
    now: Date,
    asking: SourceServer,
    before: Division,
  ): Promise<Division> {
    const others = (await this.#services.fleet.list()).filter(
      (server) =>
        server.sourceServerId !== asking.sourceServerId &&
        server.replicationConfiguration.site === site.name &&
        isSending(server, now),
    )
    const members = [...others, asking]
    const figures = await findFigures(
      this.#services,
      members.map(({ sourceServerId }) => sourceServerId),
    )
    const uses = new Map<string, Use>()
    const wishes = members.map((server) => {
      const { sourceServerId: id, replicationConfiguration } = server
      const live = figures.byServer.get(id)
      const use = live && useOf(live, before.uses.get(id))
      if (use !== undefined) uses.set(id, use)
      const own = ownAllowance(server, settings, now)
      const demand = { given: before.shares.get(id), uses: use?.bitsPerSecond, isBusy: isBusy(server, live) }
      return {
        id,
        priority: replicationConfiguration.priority ?? defaultPriority,
        wants: own.isOff ? 0 : wantedBitsPerSecond(demand),
        atMost: own.bitsPerSecond,
      }
    })
    return { shares: divideBudget(site.limitMbps * 1_000_000, wishes), uses }
  }
}

/** Not too old, nor from the future of a clock that was set back. */
function isYounger({ atMs }: { atMs: number }, thanMs: number, now: Date): boolean {
  return Math.abs(now.getTime() - atMs) < thanMs
}

/** Speed on the wire between what was read before and `live`. */
function useOf(live: ServerTelemetry, before: Use | undefined): Use {
  const { wireBytes } = live
  const atMs = Date.parse(live.at)
  // Counters that went back are those of another run of the replication server.
  if (before === undefined || wireBytes < before.wireBytes || atMs < before.atMs)
    return { atMs, wireBytes, bitsPerSecond: undefined }
  if (atMs - before.atMs < measuredMs) return before
  return { atMs, wireBytes, bitsPerSecond: ((wireBytes - before.wireBytes) * 8000) / (atMs - before.atMs) }
}

/** Whether the server's agent replicates and is heard. */
function isSending({ agent }: SourceServer, now: Date): boolean {
  if (agent.desired !== 'REPLICATE' || agent.lastSeenAt === undefined) return false
  return now.getTime() - Date.parse(agent.lastSeenAt) < silentMs
}

const busyStates: readonly string[] = ['INITIAL_SYNC', 'RESCAN', 'BACKLOG', 'CREATING_SNAPSHOT']

function isBusy(server: SourceServer, live: ServerTelemetry | undefined): boolean {
  return busyStates.includes(live?.state ?? server.replication.state)
}
