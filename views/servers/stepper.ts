/**
 * The lifecycle as a row of stages, and the next step with its reason.
 * @module
 */
import type { Decision, ServerAction } from '../../domain/actions.ts'
import type { LifecycleState } from '../../domain/lifecycle.ts'
import type { ActiveTask, ServerEvent, SourceServer } from '../../domain/source_server.ts'
import type { Task } from '../../domain/task.ts'
import type { Html } from '../html.ts'
import type { Viewer } from '../layout.ts'
import { decideAction, nextAction, serverActions } from '../../domain/actions.ts'
import { sentence, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { mayOperate } from '../layout.ts'
import { notice } from '../parts.ts'
import { workProgress, workTrouble } from '../trouble.ts'
import { actionWords } from '../action_words.ts'
import { workWords } from '../words.ts'

/** How actions are addressed: their names in URLs. */
export type SlugOf = (action: ServerAction) => string

const stages = ['Copy', 'Ready for test', 'Test', 'Ready for cutover', 'Cutover', 'Done'] as const

/** The stage that each state stands in. */
const stageOf: Record<LifecycleState, number> = {
  PENDING_INSTALLATION: 0,
  DISCOVERED: 0,
  STOPPED: 0,
  NOT_READY: 0,
  READY_FOR_TEST: 1,
  TESTING: 2,
  READY_FOR_CUTOVER: 3,
  CUTTING_OVER: 4,
  CUTOVER: 5,
  DISCONNECTED: -1,
}

/** The stages; a part that live updates replace. */
export function stepper(server: SourceServer): Html {
  const current = stageOf[server.lifecycle.state]
  const isComplete = server.lifecycle.state === 'CUTOVER'
  const stage = (label: string, position: number) => {
    const state = position < current || isComplete ? 'done' : position === current ? 'current' : 'todo'
    const said = { done: 'done', current: 'now', todo: 'to come' }[state]
    return html`<li class="stage ${state}" ${state === 'current' ? html` aria-current="step"` : nothing}>
      <span class="stage-mark">${state === 'done' ? icon('check') : position + 1}</span
      ><span>${label}<span class="visually-hidden">, ${said}</span></span>
    </li>`
  }
  return html`<ol class="stepper" id="stepper" aria-label="Lifecycle">
    ${stages.map(stage)}
  </ol>`
}

/** What the next step depends on. */
export interface NextStepModel {
  server: SourceServer
  /** The saved steps of the work that goes on. */
  task: Task | undefined
  /** Newest first. */
  events: readonly ServerEvent[]
  viewer: Viewer
  slugOf: SlugOf
  now: Date
}

/** The next step, and why it is or isn't possible; a part that live updates replace. */
export function nextStep(model: NextStepModel): Html {
  return html`<section class="card next" id="next-step">
    <h2 class="visually-hidden">Next step</h2>
    ${model.server.activeTask === undefined ? nextStepBody(model) : workBody(model, model.server.activeTask)}
  </section>`
}

function workBody({ task, now }: NextStepModel, work: ActiveTask): Html {
  return html`<div class="next-text">
      <p class="next-kicker">Working</p>
      <p class="next-title">${icon('sync')}${workWords[work.kind]}</p>
      ${task === undefined ? nothing : html`<p>${workProgress(task)}</p>`}
      <p class="muted">Begun ${when(work.startedAt, now)}. You can leave this page; it goes on by itself.</p>
    </div>
    ${work.jobId === undefined ? nothing : html`<a class="button" href="/jobs/${work.jobId}">Watch it</a>`}${task === undefined ? nothing : workTrouble(task, now)}`
}

/** What is left after the last try of an action that failed, and what to do. */
const afterFailure: Partial<Record<ServerAction, string>> = {
  START_TEST:
    'What was made for it is gone again, and replication was not touched. Mend the cause, then launch again.',
  START_CUTOVER:
    'What was made for it is gone again, and replication was not touched. Mend the cause, then launch again.',
  FINALIZE: 'Nothing was removed, and replication goes on. Mend the cause, then finalize or launch again.',
}

/** How launches and finalizing end, as their events say it. Others of their kind, as of an action or a machine that has vanished, end nothing. */
const launchEnds = new Set([
  'TEST_LAUNCH_SUCCEEDED',
  'TEST_LAUNCH_FAILED',
  'CUTOVER_LAUNCH_SUCCEEDED',
  'CUTOVER_LAUNCH_FAILED',
])
const finalizeFailed = 'FINALIZE_FAILED'

/** The failure of the last try of `action`, when nothing came of it. */
function lastFailure(action: ServerAction, events: readonly ServerEvent[]): Html {
  const rest = afterFailure[action]
  const last = events.find(({ type, detail: { state } }) => {
    if (typeof state !== 'string') return false
    if (type === 'JOB') return state === finalizeFailed && action === 'FINALIZE'
    return type === 'LAUNCH' && launchEnds.has(state)
  })
  if (rest === undefined || last?.level !== 'ERROR') return nothing
  const job = last.detail['job-id']
  const [heading = '', ...why] = last.message.split(': ')
  return notice(
    'bad',
    heading,
    html`${sentence(why.join(': '))} ${rest}
    ${typeof job === 'string' ? html`<a href="/jobs/${job}">See the report</a>` : nothing}`,
  )
}

function nextStepBody({ server, events, viewer, slugOf }: NextStepModel): Html {
  const action = nextAction(server)
  if (action === undefined) {
    return html`<div class="next-text">
      <p class="next-kicker">Next step</p>
      <p class="next-title">${icon('circleCheck')}None</p>
      <p class="muted">This server is archived.</p>
    </div>`
  }
  const decision = decideAction(server, action)
  const word = actionWords[action]
  const why = decision.possible ? readyText(action) : sentence(decision.because)
  return html`<div class="next-text">
      <p class="next-kicker">${decision.possible ? 'Next step' : 'Not yet possible'}</p>
      <p class="next-title">${icon(word.icon)}${word.button}</p>
      <p class="muted">${why}</p>
    </div>
    ${decision.possible && mayOperate(viewer) ? actionControl(server, action, slugOf, 'primary') : nothing}${lastFailure(action, events)}`
}

/** Why the next step can be taken now. */
function readyText(action: ServerAction): string {
  switch (action) {
    case 'START_TEST':
      return 'The replica is up to date: see how the server runs in the target, without touching the source.'
    case 'MARK_READY_FOR_CUTOVER':
      return 'The test machine is running. Look at it; when it is good, say so.'
    case 'START_CUTOVER':
      return 'Tested and up to date. Stop the applications on the source first, then launch.'
    case 'FINALIZE':
      return 'The cutover machine is running. Finalizing ends replication and cleans up; until then you can revert.'
    case 'RETRY':
      return 'Replication is stalled. Mend what stopped it, then try again.'
    case 'ARCHIVE':
      return 'Nothing is left to do. Archiving takes the server out of the list.'
    default:
      return 'Possible now.'
  }
}

/** A button that does a harmless action at once, or a link that asks first. */
export function actionControl(
  server: SourceServer,
  action: ServerAction,
  slugOf: SlugOf,
  style: string,
): Html {
  const word = actionWords[action]
  const address = `/servers/${server.sourceServerId}/actions/${slugOf(action)}`
  const label = html`${icon(word.icon)}<span>${word.button}</span>`
  return word.isHarmless
    ? html`<form method="post" action="${address}">
        <button class="button ${style}" type="submit">${label}</button>
      </form>`
    : html`<a class="button ${style}" href="${address}" data-dialog>${label}</a>`
}

/** All actions, the impossible ones with their reason; a part that live updates replace. */
export function actionMenu(server: SourceServer, viewer: Viewer, slugOf: SlugOf): Html {
  if (!mayOperate(viewer)) return html`<div id="actions"></div>`
  const shown = serverActions
    .filter((action) => action !== nextAction(server) && isWorthShowing(server, action))
    .map((action) => ({ action, decision: decideAction(server, action) }))
    .sort((one, other) => Number(other.decision.possible) - Number(one.decision.possible))
  return html`<div id="actions">
    <details class="menu" data-menu>
      <summary class="button">Actions${icon('chevron')}</summary>
      <ul class="menu-list">
        ${shown.map(({ action, decision }) => menuItem(server, action, slugOf, decision))}
      </ul>
    </details>
  </div>`
}

/** Of opposites only the one that makes sense is shown. */
function isWorthShowing(server: SourceServer, action: ServerAction): boolean {
  const isPaused = server.agent.desired === 'PAUSE'
  if (action === 'PAUSE') return !isPaused
  if (action === 'RESUME') return isPaused
  if (action === 'STOP_REPLICATION') return decideAction(server, action).possible
  if (action === 'START_REPLICATION') return server.lifecycle.state === 'STOPPED'
  if (action === 'RETRY') return server.replication.state === 'STALLED'
  if (action === 'REVERT_TO_READY_FOR_CUTOVER') return server.lifecycle.state === 'CUTTING_OVER'
  return true
}

function menuItem(server: SourceServer, action: ServerAction, slugOf: SlugOf, decision: Decision): Html {
  const word = actionWords[action]
  if (decision.possible) {
    return html`<li>
      ${actionControl(server, action, slugOf, word.tone === 'danger' ? 'item danger' : 'item')}
    </li>`
  }
  return html`<li>
    <span class="button item off"
      >${icon(word.icon)}<span>${word.button}<span class="item-why">${decision.because}</span></span></span
    >
  </li>`
}
