/**
 * Stand-ins for what Redis carries: notices, wake-ups and figures, within this process and in the test's hand.
 * @module
 */
import type { TaskId } from '../../../domain/ids.ts'
import type { ChangeNotice } from '../../../queues/changes.ts'
import type { QueueName } from '../../../queues/names.ts'
import type { ServerTelemetry } from '../../../wire/telemetry.ts'
import { TelemetryAwayError } from '../../../gateway/telemetry.ts'

/** Notices within this process. */
export class LocalChanges {
  readonly published: ChangeNotice[] = []
  unbroken: symbol | undefined = Symbol('unbroken')
  readonly #listeners = new Set<(notice: ChangeNotice) => void>()
  publish(notice: ChangeNotice): Promise<void> {
    this.published.push(notice)
    for (const listener of this.#listeners) listener(notice)
    return Promise.resolve()
  }
  listen(listener: (notice: ChangeNotice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** Wake-ups that are written down. */
export class RecordedWakeUps {
  readonly added: { queue: QueueName; taskId: TaskId }[] = []
  fails = false
  add(queue: QueueName, taskId: TaskId): Promise<void> {
    if (this.fails) return Promise.reject(new Error('Cannot reach Redis'))
    this.added.push({ queue, taskId })
    return Promise.resolve()
  }
  has(queue: QueueName, taskId: TaskId): Promise<boolean> {
    return Promise.resolve(this.added.some((one) => one.queue === queue && one.taskId === taskId))
  }
  ping(): Promise<void> {
    return this.fails ? Promise.reject(new Error('Cannot reach Redis')) : Promise.resolve()
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Figures in this process. */
export class LocalTelemetry {
  readonly figures = new Map<string, ServerTelemetry>()
  /** As while Redis is away. */
  isAway = false
  read(ids: readonly string[]): Promise<Map<string, ServerTelemetry>> {
    if (this.isAway) return Promise.reject(new TelemetryAwayError('Redis is away'))
    return Promise.resolve(new Map([...this.figures].filter(([id]) => ids.includes(id))))
  }
  offer(telemetry: ServerTelemetry): Promise<void> {
    if (!this.figures.has(telemetry.sourceServerId)) this.figures.set(telemetry.sourceServerId, telemetry)
    return Promise.resolve()
  }
}
