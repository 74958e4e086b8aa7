/**
 * The BullMQ worker that takes wake-ups of webhooks.
 * @module
 */
import { Worker } from 'bullmq'
import type { IRedisClient } from 'bullmq'
import type { RedisClient } from '../../queues/redis.ts'
import type { WebhookWakeUp, WebhookWakeUps } from '../../queues/webhook_wake_ups.ts'
import type { Log } from '../bench.ts'
import type { WebhookSender } from './sender.ts'
import { errorMessage } from '../../domain/errors.ts'
import { queuePrefix } from '../../queues/names.ts'
import { lockDurationMs, stalledCheckMs } from '../../queues/options.ts'
import { bullConnection } from '../../queues/redis.ts'
import { webhookConcurrency, webhookQueueName } from '../../queues/webhook_wake_ups.ts'

/** Wake-ups that wait this long beside free hands: the worker's connection has died without a word. */
const stuckMs = 15_000

/** Sends until it is closed. */
export class WebhookPool {
  readonly #client: RedisClient
  readonly #connection: IRedisClient
  readonly #sender: Pick<WebhookSender, 'run'>
  readonly #log: Log
  readonly #stop = new AbortController()
  #worker: Worker<WebhookWakeUp>
  #running = 0
  #idleSinceMs: number | undefined

  /** @param client a connected client; BullMQ makes its own blocking connection from it. */
  constructor(client: RedisClient, sender: Pick<WebhookSender, 'run'>, log: Log) {
    this.#client = client
    this.#connection = bullConnection(client)
    this.#sender = sender
    this.#log = log
    this.#worker = this.#open()
  }

  /** Resolves when it can take wake-ups. */
  async ready(): Promise<void> {
    await this.#worker.waitUntilReady()
  }

  /** Looks once whether it takes nothing though something waits, as may be after a restart of Redis; then a new worker takes its place. */
  async watch(wakeUps: Pick<WebhookWakeUps, 'waiting'>, timeMs: number): Promise<void> {
    const isIdle = this.#running < webhookConcurrency && (await wakeUps.waiting()) > 0
    if (!isIdle) this.#idleSinceMs = undefined
    else if (this.#idleSinceMs === undefined) this.#idleSinceMs = timeMs
    else if (timeMs - this.#idleSinceMs >= stuckMs) this.#replace()
  }

  /** Stops sending: what is under way is sent again by another worker. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The worker is stopping'))
    await this.#worker.close()
  }

  #open(): Worker<WebhookWakeUp> {
    const worker = new Worker<WebhookWakeUp>(
      webhookQueueName,
      async ({ data }) => {
        this.#running += 1
        this.#idleSinceMs = undefined
        try {
          await this.#sender.run(data.webhookId, this.#stop.signal)
        } finally {
          this.#running -= 1
        }
      },
      {
        connection: this.#connection,
        prefix: queuePrefix,
        concurrency: webhookConcurrency,
        lockDuration: lockDurationMs,
        stalledInterval: stalledCheckMs,
        maxStalledCount: 100,
      },
    )
    worker.on('error', (error) => this.#tell(`Queue ${webhookQueueName}: ${errorMessage(error)}`))
    return worker
  }

  #replace(): void {
    const old = this.#worker
    this.#idleSinceMs = undefined
    this.#worker = this.#open()
    this.#log.warn(
      { queue: webhookQueueName },
      'The worker of webhooks takes no wake-ups; another takes its place',
    )
    old
      .close(true)
      .catch((error: unknown) => this.#tell(`Cannot close the old worker: ${errorMessage(error)}`))
  }

  /** An outage is told once by the client itself. */
  #tell(message: string): void {
    if (this.#client.isReady) this.#log.warn({ queue: webhookQueueName }, message)
  }
}
