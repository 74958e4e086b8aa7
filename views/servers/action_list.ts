/**
 * Post-launch actions of a server, with how each went in the last launch that ran it.
 * @module
 */
import { planOfLaunch } from '../../domain/action_gate.ts'
import type { ActionOutcome, ActionRun } from '../../domain/post_launch_action.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import { html, nothing } from '../html.ts'

/** The list; undefined for a server that has none. */
export function actionList(server: SourceServer): Html | undefined {
  const onTest = planOfLaunch(server, 'TEST')
  const runs = onTest.length > 0 ? onTest : planOfLaunch(server, 'CUTOVER')
  if (runs.length === 0) return undefined
  return html`<ul class="plain">
    ${runs.map((run) => actionItem(server, run))}
  </ul>`
}

function actionItem(
  { postLaunch }: SourceServer,
  { key, actionName, mustSucceedForCutover }: ActionRun,
): Html {
  const of = (outcomes: ActionOutcome[] | undefined) => outcomes?.find((outcome) => outcome.key === key)
  const test = outcome('test', of(postLaunch?.lastRuns?.TEST))
  const cutover = outcome('cutover', of(postLaunch?.lastRuns?.CUTOVER))
  const isNew = test === nothing && cutover === nothing
  return html`<li>
    ${actionName}${mustSucceedForCutover ? html` <span class="chip">must succeed</span>` : nothing}
    ${isNew ? html`<span class="row-sub">has not run</span>` : html`${test}${cutover}`}
  </li>`
}

function outcome(launch: 'test' | 'cutover', known: ActionOutcome | undefined): Html {
  if (known === undefined) return nothing
  const words =
    known.status === 'SUCCESS' ? 'succeeded' : `failed: ${known.failureReason ?? 'no reason was saved'}`
  return html`<span class="row-sub">${launch}: ${words}</span>`
}
