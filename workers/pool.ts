/**
 * The BullMQ workers of this process: one per queue, each handing its wake-ups to the task runner.
 *
 * The lease of a task, not BullMQ's lock, says who runs it: a step goes on when its lock is lost with Redis, and whoever is woken for the
 * same task meanwhile finds it taken and looks again later.
 * @module
 */
import { DelayedError, Worker } from 'bullmq'
import type { IRedisClient } from 'bullmq'
import type { QueueName } from '../queues/names.ts'
import type { QueueDepths } from '../queues/enqueue.ts'
import type { WakeUp } from '../queues/payloads.ts'
import type { RedisClient } from '../queues/redis.ts'
import type { Log } from './bench.ts'
import type { TaskRunner } from './task_runner.ts'
import { errorMessage } from '../domain/errors.ts'
import { queueConcurrency, queueNames, queuePrefix } from '../queues/names.ts'
import { lockDurationMs, stalledCheckMs } from '../queues/options.ts'
import { bullConnection } from '../queues/redis.ts'

/** What the pool needs of a runner. */
export type Runner = Pick<TaskRunner, 'run'>

/** Jobs that wait this long beside a worker with free hands: its connection has died without a word. */
const stuckMs = 15_000

/** A worker and what the watchdog knows of it. */
interface Post {
  worker: Worker<WakeUp>
  running: number
  /** Since when jobs wait beside free hands. */
  idleSinceMs: number | undefined
}

/** Runs wake-ups until it is closed. */
export class WorkerPool {
  readonly #client: Pick<RedisClient, 'isReady'>
  readonly #connection: IRedisClient
  readonly #runner: Runner
  readonly #log: Log
  readonly #posts = new Map<QueueName, Post>()
  readonly #stop = new AbortController()

  /** @param client a connected client; BullMQ makes its own blocking connections from it. */
  constructor(client: RedisClient, runner: Runner, log: Log) {
    this.#client = client
    this.#connection = bullConnection(client)
    this.#runner = runner
    this.#log = log
    for (const name of queueNames) this.#posts.set(name, this.#open(name))
  }

  /** Resolves when every worker can take jobs. */
  async ready(): Promise<void> {
    await Promise.all([...this.#posts.values()].map(({ worker }) => worker.waitUntilReady()))
  }

  /**
   * Looks once for workers that take nothing though something waits, and puts new ones in their place. After a restart of Redis a blocking
   * connection can be left that neither answers nor fails.
   */
  async watch(depths: QueueDepths, timeMs: number): Promise<void> {
    for (const [name, post] of this.#posts) {
      const isIdle = post.running < queueConcurrency[name] && (await depths.waiting(name)) > 0
      if (!isIdle) post.idleSinceMs = undefined
      else if (post.idleSinceMs === undefined) post.idleSinceMs = timeMs
      else if (timeMs - post.idleSinceMs >= stuckMs) this.#replace(name, post)
    }
  }

  /** Tells the running steps to stop, waits for them, and closes the connections. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The worker is stopping'))
    await Promise.all([...this.#posts.values()].map(({ worker }) => worker.close()))
  }

  #open(name: QueueName): Post {
    const worker = new Worker<WakeUp>(
      name,
      async (job, token) => {
        post.running += 1
        post.idleSinceMs = undefined
        try {
          const result = await this.#runner.run(name, job.data.taskId, this.#stop.signal)
          if (result === 'done' || job.data.isOnce === true) return
          // Waiting holds no slot; and waiting is not failing, so it uses up no attempt.
          await job.moveToDelayed(Date.now() + result.waitMs, token)
          throw new DelayedError()
        } finally {
          post.running -= 1
        }
      },
      {
        connection: this.#connection,
        prefix: queuePrefix,
        concurrency: queueConcurrency[name],
        lockDuration: lockDurationMs,
        stalledInterval: stalledCheckMs,
        maxStalledCount: 100,
      },
    )
    worker.on('error', (error) => {
      // An outage is told once by the client itself.
      if (this.#client.isReady) this.#log.warn({ queue: name }, `Queue ${name}: ${errorMessage(error)}`)
    })
    const post: Post = { worker, running: 0, idleSinceMs: undefined }
    return post
  }

  #replace(name: QueueName, old: Post): void {
    this.#log.warn({ queue: name }, `The worker of queue ${name} takes no jobs; another takes its place`)
    this.#posts.set(name, this.#open(name))
    old.worker
      .close(true)
      .catch((error: unknown) =>
        this.#log.warn({ queue: name }, `Cannot close the old worker: ${errorMessage(error)}`),
      )
  }
}
