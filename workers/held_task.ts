/**
 * A task in the hands of one worker: its lease, and saves that fail once somebody else has it.
 * @module
 */
import type { TaskId } from '../domain/ids.ts'
import type { Task } from '../domain/task.ts'
import type { Bench } from './bench.ts'
import { RevisionConflictError } from '../store/store.ts'
import { isTakenAtOnce } from '../queues/task_steps.ts'
import { isOver, noteAbandonment } from './task_state.ts'

/** A worker silent for this long has lost its task. */
export const leaseMs = 20_000

/** Most that is believed of a lease's time, with room for clocks of workers that are not quite alike. */
const maxLeaseLeftMs = 2 * leaseMs

/** Somebody else has the task; whatever the holder does now must not count. */
export class LeaseLostError extends Error {
  override name = 'LeaseLostError'
}

/** What holding takes of the bench. */
type HolderBench = Pick<Bench, 'store' | 'clock' | 'changes' | 'isGone'>

/** The task cannot be had now: its holder may be alive. */
export interface Busy {
  busyUntilMs: number
}

/** A task that this worker holds. Saves go one after the other and each needs the revision of the one before. */
export class HeldTask {
  readonly #bench: HolderBench
  readonly #owner: string
  /** Whoever had it before died, or let its lease run out, in the middle of something. */
  readonly wasAbandoned: boolean
  #task: Task
  #revision: number
  #saving: Promise<void> = Promise.resolve()

  private constructor(bench: HolderBench, owner: string, task: Task, revision: number) {
    this.#bench = bench
    this.#owner = owner
    this.wasAbandoned = task.lease !== undefined
    this.#task = task
    this.#revision = revision
  }

  /**
   * Takes the task if nobody holds it. Undefined when it does not exist.
   * @throws LeaseLostError when another worker was faster.
   */
  static async take(bench: HolderBench, owner: string, taskId: TaskId): Promise<HeldTask | Busy | undefined> {
    const found = await bench.store.get('task', { id: taskId })
    if (found === undefined) return undefined
    const { lease } = found.value
    const leftMs = lease === undefined ? 0 : Date.parse(lease.expiresAt) - bench.clock().getTime()
    // Nobody can have a lease that runs for so long: the clock was set back, and its holder, if alive, renews it or loses it.
    const isBelievable = leftMs < maxLeaseLeftMs
    const isHeld = lease !== undefined && lease.owner !== owner && leftMs > 0 && isBelievable
    const isFree = !isHeld || (isTakenAtOnce(found.value) && (await bench.isGone(lease.owner)))
    if (!isFree) return { busyUntilMs: Date.parse(lease.expiresAt) }
    const held = new HeldTask(bench, owner, found.value, found.revision)
    if (isOver(found.value)) return held
    const task = held.wasAbandoned ? noteAbandonment(found.value) : found.value
    await held.save({ ...task, leaseEpoch: task.leaseEpoch + 1 })
    return held
  }

  /** Whether the lease as last saved has run out, so that another worker may have the task by now. */
  isExpired(): boolean {
    const { lease } = this.#task
    return lease === undefined || Date.parse(lease.expiresAt) <= this.#bench.clock().getTime()
  }

  /** As last saved. */
  get task(): Task {
    return this.#task
  }

  /** Saves `next` with the lease renewed. @throws LeaseLostError when somebody else has written the task. */
  save(next: Task): Promise<void> {
    return this.#queue(async () => {
      const leased: Task = isOver(next) ? next : { ...next, lease: this.#lease(next.leaseEpoch) }
      await this.#write(leased)
    })
  }

  /** Renews the lease and changes nothing else. @throws LeaseLostError. */
  renew(): Promise<void> {
    return this.#queue(async () => {
      if (isOver(this.#task)) return
      await this.#write({ ...this.#task, lease: this.#lease(this.#task.leaseEpoch) })
    })
  }

  /** Gives the task back, so that the next worker need not wait for the lease to run out. */
  release(): Promise<void> {
    return this.#queue(async () => {
      if (this.#task.lease === undefined) return
      const { lease: _back, ...rest } = this.#task
      await this.#write(rest)
    })
  }

  #lease(epoch: number): { owner: string; epoch: number; expiresAt: string } {
    return {
      owner: this.#owner,
      epoch,
      expiresAt: new Date(this.#bench.clock().getTime() + leaseMs).toISOString(),
    }
  }

  #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#saving.then(work)
    // The next save must run whether or not this one failed; its own caller hears of the failure.
    this.#saving = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }

  async #write(next: Task): Promise<void> {
    try {
      this.#revision = await this.#bench.store.replace('task', { id: next.taskId }, this.#revision, next)
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
      throw new LeaseLostError(`Another worker has taken task ${next.taskId}`, { cause: error })
    }
    this.#task = next
    await this.#bench.changes.publish({ kind: 'task', id: next.taskId })
  }
}
