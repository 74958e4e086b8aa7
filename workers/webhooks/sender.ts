/**
 * Sends to one endpoint what is due, lane by lane, some at a time. An endpoint that hangs costs its own lanes time and no other endpoint's.
 * @module
 */
import type { WebhookId } from '../../domain/ids.ts'
import type { WebhookLane } from '../../domain/webhook.ts'
import type { Store } from '../../store/store.ts'
import type { Bench } from '../bench.ts'
import type { LaneRunner } from './lane_runner.ts'
import { errorMessage } from '../../domain/errors.ts'
import { forgetDeliveries } from '../../store/deliveries.ts'
import { listAll } from '../../store/listing.ts'
import { isLaneDue } from './lane_runner.ts'

/** Lanes of one endpoint that are sent at a time. */
const lanesAtOnce = 8

/** The lanes of an endpoint in which something may be sent now. */
async function dueLanes(store: Store, webhookId: WebhookId, timeMs: number): Promise<WebhookLane[]> {
  const lanes = await listAll(store, 'webhookLane', webhookId)
  return lanes.filter((lane) => isLaneDue(lane, timeMs))
}

/** Sends to endpoints. */
export class WebhookSender {
  readonly #bench: Pick<Bench, 'store' | 'clock' | 'log'>
  readonly #runner: Pick<LaneRunner, 'run'>

  constructor(bench: Pick<Bench, 'store' | 'clock' | 'log'>, runner: Pick<LaneRunner, 'run'>) {
    this.#bench = bench
    this.#runner = runner
  }

  /** Sends until nothing is due at the endpoint, or `signal` says stop. Trouble with one lane does not keep the others waiting. */
  async run(webhookId: WebhookId, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#bench
    while (!signal.aborted) {
      const endpoint = await store.get('webhook', { id: webhookId })
      if (endpoint === undefined) {
        // What was addressed to it while it was being deleted.
        await forgetDeliveries(store, webhookId)
        return
      }
      if (!endpoint.value.isEnabled) return
      const lanes = await dueLanes(store, webhookId, clock().getTime())
      if (lanes.length === 0) return
      const isGood = await this.#runAll(webhookId, lanes, signal)
      // What has failed here for a reason of our own is looked at again by the reconciler.
      if (!isGood) return
    }
  }

  async #runAll(webhookId: WebhookId, lanes: WebhookLane[], signal: AbortSignal): Promise<boolean> {
    const waiting = [...lanes]
    let isGood = true
    const work = async (): Promise<void> => {
      for (let lane = waiting.shift(); lane !== undefined && !signal.aborted; lane = waiting.shift()) {
        try {
          await this.#runner.run(webhookId, lane.laneId, signal)
        } catch (error) {
          isGood = false
          const { laneId } = lane
          this.#bench.log.warn({ webhookId, laneId }, `Cannot send to a webhook: ${errorMessage(error)}`)
        }
      }
    }
    await Promise.all(Array.from({ length: lanesAtOnce }, work))
    return isGood
  }
}

/** Wakes a sender for every endpoint at which something is due: what was lost with Redis, what waits for its next try, what a dead sender had. */
export async function wakeSenders(bench: Pick<Bench, 'store' | 'clock' | 'webhookWakeUps'>): Promise<void> {
  for (const { webhookId, isEnabled } of await listAll(bench.store, 'webhook')) {
    if (!isEnabled) continue
    const lanes = await dueLanes(bench.store, webhookId, bench.clock().getTime())
    if (lanes.length > 0) await bench.webhookWakeUps.add(webhookId)
  }
}
