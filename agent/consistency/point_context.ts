/**
 * What reaching a consistency point is asked, works with, and leaves.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { CommandRunner } from '../run_command.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Reader } from '../sync/reader.ts'
import type { Sender } from '../sync/sender.ts'
import type { FreezePlan } from './freeze_plan.ts'
import type { HookBounds } from './hook_helper.ts'
import type { HookSet } from './hooks.ts'

/** What the gateway asked for. */
export interface PointRequest {
  consistencyPointId: string
  maxFreezeMs: number
  /** The replicator holds later writes back until snapshots are taken: for a launch. */
  hold: boolean
  /** By the server's policy: nobody waits for it. */
  isScheduled: boolean
  hooks: HookPolicy
  /** Monotonic time after which it is given up. */
  deadlineMs: number
}

/** How the operator's hooks are run. */
export interface HookPolicy extends HookBounds {
  onFailure: 'FAIL' | 'CRASH_CONSISTENT'
}

/** What reaching a point came to on the way, whatever its end. */
export interface PointTally {
  freezes: number
  longestFreezeMs: number
  longestHoldMs: number
  hooks: 'NONE' | 'RUN' | 'FAILED' | 'NOT_RUN'
  hookFailure?: string
}

/** Nothing yet. */
export function newTally(): PointTally {
  return { freezes: 0, longestFreezeMs: 0, longestHoldMs: 0, hooks: 'NONE' }
}

/** The point cannot be reached; a sentence with the figures. */
export class ConsistencyError extends Error {
  override name = 'ConsistencyError'
}

/** What reaching a point works with. */
export interface PointContext {
  disks: readonly DiskSync[]
  sender: Sender
  reader: Reader
  clock: Clock
  log: Log & { hold(): void; release(): void }
  run: CommandRunner
  /** The freezable file systems on these disks now; undefined when this machine cannot freeze. */
  planFreeze(): Promise<FreezePlan | undefined>
  /** The operator's hooks. @throws HookRefusedError when they must not be run. */
  findHooks(): Promise<HookSet>
  /** Filled on the way. */
  tally: PointTally
  /** A sentence worth an event in the dashboard. */
  note(level: 'INFO' | 'WARNING' | 'ERROR', message: string): void
  /** Asks the trackers with every check, marks what changed. False when certainty was lost and a rescan has begun. */
  drain(): Promise<boolean>
  /** Sends what is dirty; answers how many blocks. */
  sweep(): Promise<number>
  /** One pass over a disk that no tracker sees; answers how many blocks differed. */
  pass(disk: DiskSync): Promise<number>
  /** Whether the gateway still asks for this point. */
  isWanted(): boolean
}
