/**
 * Waking the senders of webhooks. The id comes from the endpoint, so that waking twice is waking once. When what is due is in the store; a wake-up that
 * is lost is added again by the reconciler.
 * @module
 */
import { Queue } from 'bullmq'
import type { WebhookId } from '../domain/ids.ts'
import type { RedisClient } from './redis.ts'
import { queuePrefix } from './names.ts'
import { bullConnection } from './redis.ts'

/** The queue's name. */
export const webhookQueueName = 'webhooks'

/** Endpoints that one worker process sends to at a time. They mostly wait for answers, and one that hangs takes no other's place. */
export const webhookConcurrency = 50

/** What travels in the queue. */
export interface WebhookWakeUp {
  webhookId: WebhookId
}

/** Wakes senders. */
export interface WebhookWakeUps {
  /** Adds a wake-up unless one waits or a worker has it. */
  add(webhookId: WebhookId): Promise<void>
  /** Wake-ups that a worker could take now. */
  waiting(): Promise<number>
  close(): Promise<void>
}

/** Wake-ups over BullMQ. */
export class BullWebhookWakeUps implements WebhookWakeUps {
  readonly #queue: Queue<WebhookWakeUp>
  readonly #client: RedisClient

  /** @param client a connected client that nobody else closes while this is in use. */
  constructor(client: RedisClient, trouble: (message: string) => void) {
    this.#client = client
    this.#queue = new Queue<WebhookWakeUp>(webhookQueueName, {
      connection: bullConnection(client),
      prefix: queuePrefix,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    })
    this.#queue.on('error', (error) => {
      if (client.isReady) trouble(`Queue ${webhookQueueName}: ${error.message}`)
    })
  }

  async add(webhookId: WebhookId): Promise<void> {
    // While Redis is away the reconciler is there.
    if (this.#client.isReady) await this.#queue.add('send', { webhookId }, { jobId: webhookId })
  }

  waiting(): Promise<number> {
    return this.#queue.getWaitingCount()
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }
}
