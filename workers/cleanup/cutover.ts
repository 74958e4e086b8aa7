/**
 * Step: the cutover becomes final, now that its machine needs nothing of the staging area any more.
 * @module
 */
import type { Step, StepContext, StepResult } from '../step.ts'
import { completeCutover } from '../../domain/cutover.ts'
import { changeServer, now } from '../bench.ts'

async function run({ bench, server, task }: StepContext): Promise<StepResult> {
  await changeServer(bench, server.sourceServerId, (current) =>
    completeCutover(current, task.createdAt, now(bench)),
  )
  return { done: null }
}

/** `complete-cutover`. */
export const completeCutoverStep: Step = { name: 'complete-cutover', run }
