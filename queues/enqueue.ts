/**
 * Adding wake-ups. The id comes from the task, so that adding one twice is adding it once.
 * @module
 */
import { Queue } from 'bullmq'
import type { TaskId } from '../domain/ids.ts'
import type { QueueName } from './names.ts'
import type { WakeUp } from './payloads.ts'
import type { RedisClient } from './redis.ts'
import { queueNames, queuePrefix } from './names.ts'
import { wakeUpOptions } from './options.ts'
import { bullConnection } from './redis.ts'

/** Wakes workers. */
export interface WakeUps {
  /**
   * Adds a wake-up unless it waits already, or a worker has it.
   * @param after the owner of the task's lease, if it has died: the wake-up that it may still seem to have is not counted. This one is for
   *   one run only, as BullMQ gives the other one to somebody when it has not heard of its worker for a while.
   */
  add(queue: QueueName, taskId: TaskId, after?: string): Promise<void>
  /** Whether a wake-up for the task waits or runs in `queue`. */
  has(queue: QueueName, taskId: TaskId): Promise<boolean>
  /** A round trip through every queue, for `/readyz`. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** How much waits. */
export interface QueueDepths {
  /** Wake-ups in `queue` that a worker could take now. */
  waiting(queue: QueueName): Promise<number>
}

/** Wake-ups over BullMQ. */
export class BullWakeUps implements WakeUps, QueueDepths {
  readonly #queues: Map<QueueName, Queue<WakeUp>>

  /** @param client a connected client that nobody else closes while this is in use. */
  constructor(client: RedisClient, trouble: (message: string) => void) {
    const connection = bullConnection(client)
    this.#queues = new Map(
      queueNames.map((name) => {
        const queue = new Queue<WakeUp>(name, {
          connection,
          prefix: queuePrefix,
          defaultJobOptions: wakeUpOptions,
        })
        queue.on('error', (error) => {
          // An outage is told once by the client itself.
          if (client.isReady) trouble(`Queue ${name}: ${error.message}`)
        })
        return [name, queue]
      }),
    )
  }

  async add(queue: QueueName, taskId: TaskId, after?: string): Promise<void> {
    const once = { jobId: `${taskId} after ${after}`, attempts: 1 }
    if (after === undefined) await this.#queue(queue).add('wake-up', { taskId }, { jobId: taskId })
    else await this.#queue(queue).add('wake-up', { taskId, isOnce: true }, once)
  }

  async has(queue: QueueName, taskId: TaskId): Promise<boolean> {
    return (await this.#queue(queue).getJob(taskId)) !== undefined
  }

  waiting(queue: QueueName): Promise<number> {
    return this.#queue(queue).getWaitingCount()
  }

  async ping(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.getWaitingCount()))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }

  #queue(name: QueueName): Queue<WakeUp> {
    const queue = this.#queues.get(name)
    if (queue === undefined) throw new RangeError(`Cannot find queue ${name}`)
    return queue
  }
}
