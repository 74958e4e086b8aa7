/**
 * Sends what waits in lanes, each delivery after the one before it is settled. Whatever was saved last says where to go on, so that a worker that dies
 * costs at most one delivery sent again, with the same id.
 * @module
 */
import type { WebhookId } from '../../domain/ids.ts'
import type { WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookLane } from '../../domain/webhook.ts'
import type { SecretBox } from '../../store/secret_box.ts'
import type { ListOptions } from '../../store/store.ts'
import type { Bench } from '../bench.ts'
import type { AllowedNetworks } from './address_guard.ts'
import type { Post, PostResult } from './post.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { longestRetryDelayMs, retryDelayMs, signingSecrets } from '../../domain/webhook.ts'
import { attemptItemId, lanePrefix } from '../../store/deliveries.ts'
import { mutate } from '../../store/mutate.ts'
import { encodeCursor } from '../../store/paging.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { now } from '../bench.ts'
import { signedHeaders } from './signature.ts'

/** What sending needs. */
export interface LaneRunnerParts {
  bench: Pick<Bench, 'store' | 'clock' | 'random' | 'log'>
  secrets: SecretBox
  post: Post
  allowed: AllowedNetworks
  timeoutMs: number
  /** Unique among all that send. */
  owner: string
  userAgent: string
  /** How long to wait after a failed try; `retryDelayMs` outside tests. */
  retryDelayMs?: typeof retryDelayMs
}

/** A sender that is silent for so much longer than one try may take has died. */
const leaseSlackMs = 5000

/** Settled deliveries are rarely between those that are not. */
const deliveriesAtOnce = 10

/** Raised when another sender has the lane, or it is gone. */
class LaneLostError extends Error {
  override name = 'LaneLostError'
}

/** Whether something of `lane` may be sent at `timeMs`. */
export function isLaneDue({ lease, nextAttemptAt }: WebhookLane, timeMs: number): boolean {
  if (lease !== undefined && Date.parse(lease.until) > timeMs) return false
  const waitMs = nextAttemptAt === undefined ? 0 : Date.parse(nextAttemptAt) - timeMs
  // Longer than any wait there is: the clock was set back.
  return waitMs <= 0 || waitMs > longestRetryDelayMs
}

function isSameOwner(one: WebhookLane, other: WebhookLane): boolean {
  return one.lease !== undefined && one.lease.owner === other.lease?.owner
}

/** Runs lanes. */
export class LaneRunner {
  readonly #parts: LaneRunnerParts
  #runs = 0

  constructor(parts: LaneRunnerParts) {
    this.#parts = parts
  }

  /** Sends what is due in the lane until all is settled, one fails, or `signal` says stop. */
  async run(webhookId: WebhookId, laneId: WebhookLane['laneId'], signal: AbortSignal): Promise<void> {
    const { bench } = this.#parts
    const found = await bench.store.get('webhookLane', { parent: webhookId, id: laneId })
    if (found === undefined || !isLaneDue(found.value, bench.clock().getTime())) return
    try {
      let lane = await this.#take(found.value)
      for (;;) {
        const next = signal.aborted ? await this.#release(lane) : await this.#sendNext(lane, signal)
        if (next === undefined) return
        lane = next
      }
    } catch (error) {
      // Whoever has it now goes on with it.
      if (!(error instanceof LaneLostError)) throw error
    }
  }

  /** Sends the next delivery of `lane`. Answers with the lane after that; undefined when it has been left to others or is done. */
  async #sendNext(lane: WebhookLane, signal: AbortSignal): Promise<WebhookLane | undefined> {
    const { bench } = this.#parts
    const { webhookId } = lane
    const endpoint = await bench.store.get('webhook', { id: webhookId })
    const delivery = endpoint?.value.isEnabled === true ? await this.#nextOf(lane) : undefined
    if (endpoint === undefined || (endpoint.value.isEnabled && delivery === undefined)) return this.#end(lane)
    if (delivery === undefined) return this.#release(lane)
    const beganMs = performance.now()
    const at = bench.clock()
    const result = await this.#post(endpoint.value, delivery, at, signal)
    // What was cut off by stopping says nothing of the receiver.
    if (signal.aborted && result.problem !== undefined) return this.#release(lane)
    const durationMs = Math.round(performance.now() - beganMs)
    return this.#settle(lane, delivery, { at: at.toISOString(), durationMs, ...result })
  }

  #post(
    endpoint: WebhookEndpoint,
    delivery: WebhookDelivery,
    at: Date,
    signal: AbortSignal,
  ): Promise<PostResult> {
    const { secrets, post, allowed, timeoutMs, userAgent } = this.#parts
    const { eventId: id, body } = delivery
    let signed: Record<string, string>
    try {
      const open = signingSecrets(endpoint, at.toISOString()).map(({ sealed }) =>
        secrets.unseal(sealed, endpoint.webhookId),
      )
      signed = signedHeaders({ id, timestampSeconds: Math.floor(at.getTime() / 1000), body }, open)
    } catch (error) {
      return Promise.resolve({ problem: error instanceof Error ? error.message : String(error) })
    }
    const headers = { 'content-type': 'application/json; charset=utf-8', 'user-agent': userAgent, ...signed }
    return post({ url: endpoint.url, headers, body, timeoutMs, allowed, signal })
  }

  /** The first delivery of the lane that is not settled. */
  async #nextOf({ webhookId, laneId, after }: WebhookLane): Promise<WebhookDelivery | undefined> {
    const { store } = this.#parts.bench
    for (let cursor: string | undefined = encodeCursor(after); cursor !== undefined;) {
      const options: ListOptions = { parent: webhookId, cursor, limit: deliveriesAtOnce }
      const page = await store.list('webhookDelivery', options)
      for (const { value } of page.items) {
        if (!value.deliveryId.startsWith(lanePrefix(laneId))) return undefined
        if (value.state === 'PENDING') return value
      }
      cursor = page.cursor
    }
    return undefined
  }

  /** Writes down what came of a try: the delivery first, then the log, then the lane, so that what is cut short is only done again. */
  async #settle(
    lane: WebhookLane,
    delivery: WebhookDelivery,
    tried: PostResult & { at: string; durationMs: number },
  ): Promise<WebhookLane | undefined> {
    const { bench } = this.#parts
    const isTaken = tried.problem === undefined
    const attempt = delivery.attempts + 1
    const delayOf = this.#parts.retryDelayMs ?? retryDelayMs
    const delayMs = delivery.laneId === 'test' ? undefined : delayOf(attempt, this.#chance())
    const isGone = tried.statusCode === 410 && delivery.laneId !== 'test'
    const outcome = isTaken ? 'DELIVERED' : delayMs === undefined && !isGone ? 'DEAD' : 'FAILED'
    const { deliveryId, eventId, detailType, webhookId, laneId, createdAt } = delivery
    // What is sent again was made long ago, and has waited only since it was asked for.
    const waitingSince =
      lane.waitingSince !== undefined && lane.waitingSince > createdAt ? lane.waitingSince : createdAt
    const state = outcome === 'FAILED' ? 'PENDING' : outcome
    await this.#ofKnown(() =>
      mutate(bench.store, 'webhookDelivery', { parent: webhookId, id: deliveryId }, (known) =>
        // Settled meanwhile by whoever took the lane over from a sender thought dead: that this one failed makes it nothing else.
        known.state !== 'PENDING' && !isTaken
          ? known
          : {
              ...known,
              state,
              attempts: attempt,
              ...(state === 'PENDING' ? {} : { settledAt: now(bench) }),
            },
      ),
    )
    await this.#log(webhookId, { deliveryId, eventId, detailType, laneId, attempt, outcome, ...tried })
    if (tried.statusCode === 410) await this.#disable(webhookId)
    if (outcome === 'FAILED') {
      const nextAttemptAt = new Date(bench.clock().getTime() + (delayMs ?? 0)).toISOString()
      return this.#release(lane, { waitingSince, ...(isGone ? {} : { nextAttemptAt }) })
    }
    // Somebody who replays puts the lane back meanwhile: then it stays there.
    return this.#change(lane, (current) =>
      current.after === lane.after ? { ...current, after: deliveryId, waitingSince } : current,
    )
  }

  async #log(webhookId: WebhookId, attempt: WebhookAttempt): Promise<void> {
    const key = { parent: webhookId, id: attemptItemId(attempt) }
    try {
      await this.#parts.bench.store.create('webhookAttempt', key, attempt)
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }

  async #disable(webhookId: WebhookId): Promise<void> {
    const { bench } = this.#parts
    const because = `It answered 410 (gone) at ${now(bench)}`
    bench.log.warn({ webhookId }, `Webhook ${webhookId} is disabled: ${because}`)
    await this.#ofKnown(() =>
      mutate(bench.store, 'webhook', { id: webhookId }, (endpoint) =>
        endpoint.isEnabled ? { ...endpoint, isEnabled: false, disabledBecause: because } : endpoint,
      ),
    )
  }

  /** What is deleted meanwhile needs no writing down. */
  async #ofKnown(write: () => Promise<unknown>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error
    }
  }

  /** Takes a lane that is due. @throws LaneLostError when another sender was faster. */
  #take(lane: WebhookLane): Promise<WebhookLane> {
    const { bench, owner } = this.#parts
    // Each run is an owner of its own: after a loss of Redis the same process may be woken for a lane that it is still sending.
    const own = `${owner}/${++this.#runs}`
    return this.#write(lane, (current) => {
      if (!isLaneDue(current, bench.clock().getTime())) throw new LaneLostError('Another sender has it')
      const { nextAttemptAt: _due, ...rest } = current
      return { ...rest, lease: this.#lease(own) }
    })
  }

  /** Changes a lane that this run holds, and holds it for one more try. @throws LaneLostError. */
  #change(lane: WebhookLane, change: (current: WebhookLane) => WebhookLane): Promise<WebhookLane> {
    return this.#write(lane, (current) => {
      if (!isSameOwner(current, lane)) throw new LaneLostError('Another sender has it')
      return { ...change(current), lease: this.#lease(lane.lease?.owner ?? '') }
    })
  }

  #lease(owner: string): NonNullable<WebhookLane['lease']> {
    const { bench, timeoutMs } = this.#parts
    return { owner, until: new Date(bench.clock().getTime() + timeoutMs + leaseSlackMs).toISOString() }
  }

  async #write(lane: WebhookLane, change: (current: WebhookLane) => WebhookLane): Promise<WebhookLane> {
    const key = { parent: lane.webhookId, id: lane.laneId }
    try {
      return (await mutate(this.#parts.bench.store, 'webhookLane', key, change)).value
    } catch (error) {
      if (error instanceof NotFoundError) throw new LaneLostError('It is gone', { cause: error })
      throw error
    }
  }

  /** Leaves the lane to whoever comes next. */
  async #release(
    lane: WebhookLane,
    rest: Pick<WebhookLane, 'nextAttemptAt' | 'waitingSince'> = {},
  ): Promise<undefined> {
    await this.#write(lane, (current) => {
      if (!isSameOwner(current, lane)) throw new LaneLostError('Another sender has it')
      const { lease: _over, ...free } = current
      return { ...free, ...rest }
    })
  }

  /** Removes the lane, unless something has been added to it meanwhile. Answers with the lane then. */
  async #end(lane: WebhookLane): Promise<WebhookLane | undefined> {
    const { store } = this.#parts.bench
    const key = { parent: lane.webhookId, id: lane.laneId }
    const found = await store.get('webhookLane', key)
    if (found === undefined || !isSameOwner(found.value, lane)) return undefined
    if (found.value.additions !== lane.additions) return found.value
    try {
      await store.remove('webhookLane', key, found.revision)
      return undefined
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
      return (await store.get('webhookLane', key))?.value
    }
  }

  #chance(): number {
    return (this.#parts.bench.random(1)[0] ?? 0) / 255
  }
}
