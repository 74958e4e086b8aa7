/**
 * Keeps the data replication state that the agent reports, and tells when it changes.
 * @module
 */
import type { DataReplicationState } from '../../domain/replication.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { ReplicationFacts } from './state.ts'
import { nextState } from './state.ts'

/** What the keeper does not know by itself. */
export type StateFacts = Omit<ReplicationFacts, 'wasConnected' | 'disconnectedMs' | 'current'>

/** The state, and since when there has been a connection or none. */
export class StateKeeper {
  readonly #clock: Clock
  readonly #log: Log
  readonly #onChange: () => void
  #state: DataReplicationState = 'STOPPED'
  #wasConnected = false
  #isConnected = false
  /** Monotonic time of the last change between connected and not. */
  #sinceMs: number

  constructor(clock: Clock, log: Log, onChange: () => void) {
    this.#clock = clock
    this.#log = log
    this.#onChange = onChange
    this.#sinceMs = clock.monotonicMs()
  }

  /** What is reported. */
  get state(): DataReplicationState {
    return this.#state
  }

  /** Was connected since replication began. */
  get wasConnected(): boolean {
    return this.#wasConnected
  }

  /** How long the connection has lasted; 0 without one. */
  get connectedMs(): number {
    return this.#isConnected ? this.#clock.monotonicMs() - this.#sinceMs : 0
  }

  /** A connection is there, or is over. */
  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected
    this.#wasConnected ||= isConnected
    this.#sinceMs = this.#clock.monotonicMs()
  }

  /** Replication begins anew: there never was a connection. */
  forget(): void {
    this.#wasConnected = false
  }

  /** Moves on to what the facts call for. */
  update(facts: StateFacts): void {
    // A link that was lost meanwhile has not stalled what nobody wanted to go on; after this it has its time to come back.
    if (facts.mode !== 'REPLICATE' && !this.#isConnected) this.#sinceMs = this.#clock.monotonicMs()
    const next = nextState({
      ...facts,
      wasConnected: this.#wasConnected,
      disconnectedMs: this.#isConnected ? 0 : this.#clock.monotonicMs() - this.#sinceMs,
      current: this.#state,
    })
    if (next === this.#state) return
    this.#log.info(`Replication ${this.#state} → ${next}`)
    this.#state = next
    this.#onChange()
  }
}
