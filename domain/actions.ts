/**
 * The door to what can be done to a source server: decided in `decide_action.ts`, done in `apply_action.ts`; the work that follows is
 * described in `work.ts`, the staging area in `staging.ts`.
 * @module
 */
export { leavingInWords } from './agent_leaving.ts'
export { applyAction } from './apply_action.ts'
export type { ActionContext } from './apply_action.ts'
export { decideAction, nextAction, serverActions } from './decide_action.ts'
export type { Decision, ServerAction } from './decide_action.ts'
export { hasStagingArea, withStaging } from './staging.ts'
export { workName } from './work.ts'
