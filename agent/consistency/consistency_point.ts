/**
 * Reaches a consistency point: a moment at which the replica equals the source on all disks. Under mounted file systems they are frozen for a bounded
 * moment; where nothing can be frozen, a quiet moment is waited for.
 * @module
 */
import type { Barrier } from '../../wire/message.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { HeldBlocks } from './held_blocks.ts'
import type { PointContext, PointRequest } from './point_context.ts'
import { errorMessage } from '../../domain/errors.ts'
import { sectorSizeBytes } from '../../domain/units.ts'
import { freezeAndCapture } from './freeze_attempt.ts'
import { noteHooksLeftOut, quietly } from './quiet_applications.ts'
import { ConsistencyError } from './point_context.ts'

/** What may be outstanding when the file systems are frozen; reading it takes a fraction of a second. */
const convergedBytes = 16 * 1024 * 1024

/** Freezes before the point is given up. */
const maxFreezes = 5

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
  if (plan === undefined || plan.freeze.length === 0) {
    await noteHooksLeftOut(context)
    return reachQuietly(context, request)
  }
  const mountPoints = [...plan.freeze, ...plan.flushOnly]
  let reason = 'nothing was tried'
  for (let attempt = 1; attempt <= maxFreezes; attempt++) {
    await settle(context, request, mountPoints)
    const frozen = await quietly(context, request, {
      settle: (own) => settle(context, own, mountPoints),
      freeze: () => freezeAndCapture(context, request, plan),
    })
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

/** Brings the replica so close that a freeze has little to write and to read. */
async function settle(
  context: PointContext,
  request: PointRequest,
  mountPoints: readonly string[],
): Promise<void> {
  await converge(context, request)
  await context.run('sync', ['-f', ...mountPoints]).catch((error: unknown) => {
    // The freeze flushes too; this only shortens it.
    context.log.warning(`Cannot flush file systems before the freeze: ${errorMessage(error)}`)
  })
  await converge(context, request)
}

/** Why the copy can't be whole: a disk is larger than what is replicated of it, and its file systems may already reach beyond. */
async function grownInWords(disks: readonly DiskSync[]): Promise<string | undefined> {
  for (const disk of disks) {
    const isBytes = await disk.source.currentSizeBytes()
    if (isBytes - disk.sizeBytes >= sectorSizeBytes)
      return `Disk ${disk.deviceName} has grown from ${disk.sizeBytes} to ${isBytes} bytes; wait until its volume has grown too`
  }
  return undefined
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

/** Sends what was read under the freeze; later changes stay behind the barrier. */
async function sendCaptured(
  context: PointContext,
  request: PointRequest,
  frozen: { held: HeldBlocks; frozenMs: number },
): Promise<Barrier> {
  try {
    const grown = await grownInWords(context.disks)
    if (grown !== undefined) throw new ConsistencyError(grown)
    await frozen.held.send(context.sender)
    await context.sender.allAcknowledged()
  } catch (error) {
    frozen.held.giveBack(context.disks)
    throw error
  }
  const { consistencyPointId, hold } = request
  return { consistencyPointId, hold, method: 'FROZEN', frozenMs: frozen.frozenMs }
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
  const grown = await grownInWords(context.disks)
  if (grown !== undefined) throw new ConsistencyError(grown)
  const { consistencyPointId, hold } = request
  return { consistencyPointId, hold, method: 'QUIET', frozenMs: 0 }
}
