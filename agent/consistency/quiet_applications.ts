/**
 * A freeze between the operator's hooks: applications are told before it and after it, and what a hook that fails means is the policy's to say.
 * @module
 */
import type { Frozen } from './freeze_attempt.ts'
import type { HookSet } from './hooks.ts'
import type { PointContext, PointRequest } from './point_context.ts'
import { errorMessage } from '../../domain/errors.ts'
import { HookHelper } from './hook_helper.ts'
import { ConsistencyError } from './point_context.ts'

/** What is done between the hooks. */
export interface FreezeWork {
  /** Sends what applications have written out because of the hooks, as far as the time of `request` goes. */
  settle(request: PointRequest): Promise<void>
  freeze(): Promise<Frozen>
}

/** The hooks there are, and which of them may not be run. */
async function hooksOf(context: PointContext): Promise<HookSet | { refused: string }> {
  try {
    return await context.findHooks()
  } catch (error) {
    return { refused: `Hooks cannot be run: ${errorMessage(error)}` }
  }
}

/** Nothing is going to be frozen, so no hook is run: said, where there are some. */
export async function noteHooksLeftOut(context: PointContext): Promise<void> {
  const hooks = await hooksOf(context)
  if ('refused' in hooks || hooks.preFreeze.length + hooks.postThaw.length > 0)
    context.tally.hooks = 'NOT_RUN'
}

/** A hook failed: the point is given up, or goes on without applications knowing of it. @throws ConsistencyError by the policy. */
function failHooks({ tally }: PointContext, { hooks }: PointRequest, reason: string): void {
  tally.hooks = 'FAILED'
  tally.hookFailure = reason
  if (hooks.onFailure === 'FAIL') throw new ConsistencyError(reason)
}

/**
 * Runs the pre-freeze hooks, the freeze and the post-thaw hooks; these run whatever happens.
 * @throws ConsistencyError when a hook fails and the policy is to give up.
 */
export async function quietly(
  context: PointContext,
  request: PointRequest,
  work: FreezeWork,
): Promise<Frozen> {
  const hooks = await hooksOf(context)
  if ('refused' in hooks) {
    failHooks(context, request, hooks.refused)
    return work.freeze()
  }
  if (hooks.preFreeze.length + hooks.postThaw.length === 0) return work.freeze()
  const { frozen, failure } = await between(context, request, hooks, work)
  if (failure === undefined) {
    context.tally.hooks = 'RUN'
    return frozen ?? work.freeze()
  }
  try {
    failHooks(context, request, failure)
  } catch (error) {
    if (frozen !== undefined && 'held' in frozen) frozen.held.giveBack(context.disks)
    throw error
  }
  return frozen ?? work.freeze()
}

/** The freeze between the hooks; none when the first of them fail. */
async function between(
  context: PointContext,
  request: PointRequest,
  hooks: HookSet,
  work: FreezeWork,
): Promise<{ frozen?: Frozen; failure?: string }> {
  const { clock, tally } = context
  let helper: HookHelper
  try {
    helper = await HookHelper.start(hooks, request.hooks, request.consistencyPointId)
  } catch (error) {
    return { failure: `Cannot start what runs the hooks: ${errorMessage(error)}` }
  }
  const begin = clock.monotonicMs()
  let failure: string | undefined
  let frozen: Frozen | undefined
  let isLate = false
  try {
    failure = await helper.quiesce()
    if (failure === undefined) {
      const deadlineMs = Math.min(request.deadlineMs, begin + request.hooks.holdSeconds * 1000)
      await work.settle({ ...request, deadlineMs })
      frozen = await work.freeze()
    }
  } finally {
    const end = await helper.release()
    tally.longestHoldMs = Math.max(tally.longestHoldMs, clock.monotonicMs() - begin)
    isLate = end.isLate
    if (end.failure !== undefined)
      context.note('ERROR', `${end.failure}. Look after the applications of this server that they hold`)
  }
  if (failure === undefined && isLate)
    failure = `Applications went on before the freeze was over: it took more than ${request.hooks.holdSeconds} s from the first hook`
  return { ...(frozen === undefined ? {} : { frozen }), ...(failure === undefined ? {} : { failure }) }
}
