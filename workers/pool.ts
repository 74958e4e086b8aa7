/**
 * The BullMQ workers of this process: one per queue, each handing its wake-ups to the task runner.
 * @module
 */
import { createNodeRedisClient, DelayedError, Worker } from 'bullmq'
import type { QueueName } from '../queues/names.ts'
import type { WakeUp } from '../queues/payloads.ts'
import type { RedisClient } from '../queues/redis.ts'
import type { Log } from './bench.ts'
import type { RunResult, TaskRunner } from './task_runner.ts'
import type { TaskId } from '../domain/ids.ts'
import { errorMessage } from '../domain/errors.ts'
import { queueConcurrency, queueNames, queuePrefix } from '../queues/names.ts'
import { lockDurationMs } from '../queues/options.ts'

/** What the pool needs of a runner. */
export type Runner = Pick<TaskRunner, 'run'>

/** Runs wake-ups until it is closed. */
export class WorkerPool {
  readonly #workers: Worker<WakeUp>[]
  readonly #stop = new AbortController()

  /** @param client a connected client; BullMQ makes its own blocking connections from it. */
  constructor(client: RedisClient, runner: Runner, log: Log) {
    const connection = createNodeRedisClient(client)
    this.#workers = queueNames.map((name) => {
      const worker = new Worker<WakeUp>(
        name,
        async (job, token) => {
          const result = await this.#run(runner, name, job.data.taskId)
          if (result === 'done') return
          // Waiting holds no slot; and waiting is not failing, so it uses up no attempt.
          await job.moveToDelayed(Date.now() + result.waitMs, token)
          throw new DelayedError()
        },
        { connection, prefix: queuePrefix, concurrency: queueConcurrency[name], lockDuration: lockDurationMs, maxStalledCount: 100 },
      )
      worker.on('error', (error) => log.warn({ queue: name }, `Queue ${name}: ${errorMessage(error)}`))
      return worker
    })
  }

  /** Resolves when every worker can take jobs. */
  async ready(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.waitUntilReady()))
  }

  /** Tells the running steps to stop, waits for them, and closes the connections. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The worker is stopping'))
    await Promise.all(this.#workers.map((worker) => worker.close()))
  }

  #run(runner: Runner, queue: QueueName, taskId: TaskId): Promise<RunResult> {
    return runner.run(queue, taskId, this.#stop.signal)
  }
}
