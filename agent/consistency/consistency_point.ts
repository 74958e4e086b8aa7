/**
 * Reaches a consistency point: a moment at which the replica equals the source on all disks. Under mounted file systems they are frozen for a bounded
 * moment; where nothing can be frozen, a quiet moment is waited for.
 * @module
 */
import type { Barrier } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { CommandRunner } from '../run_command.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Reader } from '../sync/reader.ts'
import type { Sender } from '../sync/sender.ts'
import type { FreezePlan } from './freeze_plan.ts'
import type { HeldBlocks } from './held_blocks.ts'
import { errorMessage } from '../../domain/errors.ts'
import { captureDirty } from './frozen_capture.ts'
import { FreezeHelper } from './freeze_helper.ts'

/** What may be outstanding when the file systems are frozen; reading it takes a fraction of a second. */
const convergedBytes = 16 * 1024 * 1024

/** Freezes before the point is given up. */
const maxFreezes = 5

/** What the gateway asked for. */
export interface PointRequest {
  consistencyPointId: string
  maxFreezeMs: number
  /** Monotonic time after which it is given up. */
  deadlineMs: number
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
  /** Asks the trackers with every check, marks what changed. False when certainty was lost and a rescan has begun. */
  drain(): Promise<boolean>
  /** Sends what is dirty; answers how many blocks. */
  sweep(): Promise<number>
  /** One pass over a disk that no tracker sees; answers how many blocks differed. */
  pass(disk: DiskSync): Promise<number>
  /** Whether the gateway still asks for this point. */
  isWanted(): boolean
}

/** Says whether the point is still worth reaching. */
function requireTime(context: PointContext, request: PointRequest, what: string): void {
  if (!context.isWanted()) throw new ConsistencyError('The point was given up by the control plane')
  if (context.clock.monotonicMs() < request.deadlineMs) return
  throw new ConsistencyError(`The point was not reached in time: ${what}`)
}

/**
 * Makes everything up to one moment durable and answers the barrier that must be sent next, before any other block. The session's failures are
 * thrown as they come; then nothing is lost and the point is tried again in the next session.
 *
 * @throws ConsistencyError when the point cannot be reached.
 */
export async function reachPoint(context: PointContext, request: PointRequest): Promise<Barrier> {
  const isTracked = context.disks.every((disk) => !disk.tracker.needsPasses)
  const plan = isTracked && request.maxFreezeMs > 0 ? await context.planFreeze() : undefined
  if (plan === undefined || plan.freeze.length === 0) return reachQuietly(context, request)
  let reason = 'nothing was tried'
  for (let attempt = 1; attempt <= maxFreezes; attempt++) {
    await converge(context, request)
    await flush(context, [...plan.freeze, ...plan.flushOnly])
    await converge(context, request)
    const frozen = await freezeAndCapture(context, request, plan)
    if ('held' in frozen) return sendCaptured(context, request, frozen)
    reason = frozen.reason
    context.log.warning(
      `Consistency point ${request.consistencyPointId}, attempt ${attempt} of ${maxFreezes}: ${reason}`,
    )
    await context.clock.sleep(100 * attempt)
  }
  throw new ConsistencyError(
    `The file systems were frozen ${maxFreezes} times without a consistent copy: ${reason}`,
  )
}

/** Sends until little is outstanding. */
async function converge(context: PointContext, request: PointRequest): Promise<void> {
  for (;;) {
    if (!(await context.drain()))
      throw new ConsistencyError('Changes were lost; the disk is being compared again')
    const outstanding = context.disks.reduce((sum, disk) => sum + disk.dirty.bytes, 0)
    requireTime(
      context,
      request,
      `${Math.ceil(outstanding / 1e6)} MB were still outstanding; the disks change faster than they are sent`,
    )
    await context.sweep()
    // Asked after the sweep, which may be the first to find out.
    const unreadable = context.disks.find((disk) => disk.unreadable !== undefined)?.unreadable
    if (unreadable !== undefined)
      throw new ConsistencyError(`${unreadable.message}; without it no copy is whole`)
    await context.sender.allAcknowledged()
    if (outstanding <= convergedBytes) return
  }
}

/** Writes out what file systems hold in memory, so that the freeze itself has little to write. */
async function flush(context: PointContext, mountPoints: readonly string[]): Promise<void> {
  await context.run('sync', ['-f', ...mountPoints]).catch((error: unknown) => {
    // The freeze flushes too; this only shortens it.
    context.log.warning(`Cannot flush file systems before the freeze: ${errorMessage(error)}`)
  })
}

type Frozen = { held: HeldBlocks; frozenMs: number } | { reason: string }

/** Freezes, reads, thaws. From the freeze to the thaw nothing is written to a log or a disk. */
async function freezeAndCapture(
  context: PointContext,
  request: PointRequest,
  plan: FreezePlan,
): Promise<Frozen> {
  const { clock, log } = context
  let helper: FreezeHelper
  try {
    helper = await FreezeHelper.start(plan.freeze, request.maxFreezeMs)
  } catch (error) {
    return { reason: `cannot start what freezes and thaws: ${errorMessage(error)}` }
  }
  log.hold()
  const begin = clock.monotonicMs()
  const overdue = Promise.withResolvers<{ reason: string }>()
  const timer = setTimeout(
    () =>
      overdue.resolve({
        reason: `reading took longer than the ${request.maxFreezeMs} ms that a freeze may last`,
      }),
    request.maxFreezeMs,
  )
  try {
    await helper.freeze()
    const capturing = captureDirty(context)
    const first = await Promise.race([capturing, overdue.promise]).catch((error: unknown) => ({
      reason: errorMessage(error),
    }))
    const thaw = await helper.thaw()
    const frozenMs = clock.monotonicMs() - begin
    // Overdue: what the capture still reads is read from a thawed disk and must not be used.
    const capture = await capturing.catch((error: unknown) => ({ reason: errorMessage(error) }))
    if ('held' in first && thaw.isGood) return { held: first.held, frozenMs }
    if ('held' in capture) capture.held.giveBack(context.disks)
    if (!thaw.isGood) log.error(`Consistency point ${request.consistencyPointId}: ${thaw.reason}`)
    return {
      reason: thaw.isGood && 'reason' in first ? first.reason : thaw.isGood ? 'it was too late' : thaw.reason,
    }
  } catch (error) {
    helper.cancel()
    return { reason: errorMessage(error) }
  } finally {
    clearTimeout(timer)
    log.release()
  }
}

/** Sends what was read under the freeze; later changes stay behind the barrier. */
async function sendCaptured(
  context: PointContext,
  request: PointRequest,
  frozen: { held: HeldBlocks; frozenMs: number },
): Promise<Barrier> {
  try {
    await frozen.held.send(context.sender)
    await context.sender.allAcknowledged()
  } catch (error) {
    frozen.held.giveBack(context.disks)
    throw error
  }
  const { consistencyPointId } = request
  return { consistencyPointId, hold: true, method: 'FROZEN', frozenMs: frozen.frozenMs }
}

/**
 * Waits for a moment at which nothing is outstanding and nothing has changed. A disk that is only compared pass after pass counts as unchanged
 * after two passes without a difference: between the end of the first and the begin of the second it equalled its replica.
 */
async function reachQuietly(context: PointContext, request: PointRequest): Promise<Barrier> {
  const passed = context.disks.filter((disk) => disk.tracker.needsPasses)
  const looksNeeded = passed.length > 0 ? 2 : 1
  let quietLooks = 0
  let changed = 'no look was finished'
  for (let look = 1; quietLooks < looksNeeded; look++) {
    requireTime(
      context,
      request,
      `the disks changed in every one of ${look - 1} looks (${changed}); stop what writes to them for a moment`,
    )
    await converge(context, request)
    let differences = 0
    for (const disk of passed) differences += await context.pass(disk)
    if (!(await context.drain()))
      throw new ConsistencyError('Changes were lost; the disk is being compared again')
    const blocks = context.disks.reduce((sum, disk) => sum + disk.dirty.count, 0)
    quietLooks = differences === 0 && blocks === 0 ? quietLooks + 1 : 0
    changed = `${Math.max(differences, blocks)} blocks in the last one`
  }
  return { consistencyPointId: request.consistencyPointId, hold: true, method: 'QUIET', frozenMs: 0 }
}
