/**
 * One freeze: everything that is outstanding is read into memory while file systems stand still.
 * @module
 */
import type { FreezePlan } from './freeze_plan.ts'
import type { HeldBlocks } from './held_blocks.ts'
import type { PointContext, PointRequest } from './point_context.ts'
import { errorMessage } from '../../domain/errors.ts'
import { FreezeHelper } from './freeze_helper.ts'
import { captureDirty } from './frozen_capture.ts'

/** What a freeze gave, or why nothing. */
export type Frozen = { held: HeldBlocks; frozenMs: number } | { reason: string }

/** Freezes, reads, thaws. From the freeze to the thaw nothing is written to a log or a disk. */
export async function freezeAndCapture(
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
    context.tally.freezes += 1
    context.tally.longestFreezeMs = Math.max(context.tally.longestFreezeMs, clock.monotonicMs() - begin)
    log.release()
  }
}
