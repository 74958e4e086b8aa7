/**
 * One job: its steps with their durations, its log, and what the launch left to look at.
 * @module
 */
import type { Job, JobLogItem, ParticipatingServer } from '../../domain/job.ts'
import type { ActionOutcome } from '../../domain/post_launch_action.ts'
import type { Task, TaskStep } from '../../domain/task.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { count, dateTime, duration, sentence, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout } from '../layout.ts'
import { badge, card, emptyState, facts, notice, pageHead } from '../parts.ts'
import { workTrouble } from '../trouble.ts'
import { changeWord, initiatorWords, jobLogWords, launchWords, stepWord } from '../words.ts'

/** A change that conversion made, or that it found unneeded. */
export interface ConversionChange {
  name: string
  detail: string
}

/** What a launch of one server left. */
export interface LaunchReport {
  server: ParticipatingServer
  hostname: string
  task: Task | undefined
  conversion: ConversionChange[]
  /** The last part of the serial console. */
  serialLog: string | undefined
  hasScreenshot: boolean
}

/** A job as shown. */
export interface JobModel {
  job: Job
  reports: LaunchReport[]
  log: JobLogItem[]
  now: Date
}

/** The page. */
export function jobPage(frame: Frame, model: JobModel, stream: string): Html {
  const body = html`${pageHead(initiatorWords[model.job.initiatedBy], { back: { href: '/jobs', label: 'Launch history' }, lead: html`<code>${model.job.jobId}</code>` })}
    <div class="columns">
      <div class="column-main">
        ${model.reports.map((report) => html`${stepsCard(model, report)}${screenCard(model.job, report)}${conversionCard(report)}${serialCard(model.job, report)}`)}
      </div>
      <div class="column-side">${summaryCard(model)}${logCard(model)}</div>
    </div>`
  return layout(frame, { title: initiatorWords[model.job.initiatedBy], section: 'jobs', body, stream })
}

/** The parts that change while one looks, by the id of the element that each replaces. */
export function jobParts(model: JobModel): Map<string, Html> {
  const parts = new Map<string, Html>([
    ['summary', summaryCard(model)],
    ['log', logCard(model)],
  ])
  for (const report of model.reports) {
    const id = report.server.sourceServerId
    parts.set(`steps-${id}`, stepsCard(model, report))
    parts.set(`screen-${id}`, screenCard(model.job, report))
    parts.set(`conversion-${id}`, conversionCard(report))
    parts.set(`serial-${id}`, serialCard(model.job, report))
  }
  return parts
}

function summaryCard({ job, reports, now }: JobModel): Html {
  const took = Date.parse(job.endedAt ?? now.toISOString()) - Date.parse(job.createdAt)
  return card(
    'Summary',
    facts([
      [
        'Servers',
        html`<ul class="plain">
          ${reports.map((report) => html`<li><a href="/servers/${report.server.sourceServerId}">${report.hostname}</a> ${badge(launchWords[report.server.launchStatus])}</li>`)}
        </ul>`,
      ],
      ['Asked by', job.actor],
      ['Started', html`${dateTime(job.createdAt)}`],
      [job.endedAt === undefined ? 'Running for' : 'Took', duration(took)],
      ['Machines', machines(reports)],
    ]),
    { id: 'summary', picture: 'info' },
  )
}

function machines(reports: readonly LaunchReport[]): Html | undefined {
  const ids = reports.flatMap(({ server }) => (server.machineId === undefined ? [] : [server.machineId]))
  return ids.length === 0 ? undefined : html`${ids.map((id) => html`<code>${id}</code> `)}`
}

function stepsCard({ job, log, now }: JobModel, report: LaunchReport): Html {
  const { server, task, hostname } = report
  const failure = server.failure ?? task?.failure
  const steps = task?.steps ?? []
  return card(
    hostname,
    html`${failure === undefined ? nothing : notice('bad', 'It did not work', sentence(failure))}${task === undefined || task.status === 'UNDOING' ? nothing : workTrouble(task, now)}${
      steps.length === 0
        ? html`<p class="muted">The steps appear when a worker takes the job.</p>`
        : html`<ol class="timeline">
            ${steps.map((step) => stepItem(step, now))}
          </ol>`
    }${actionOutput(job, log, server)}`,
    {
      id: `steps-${server.sourceServerId}`,
      picture: 'server',
      aside: badge(launchWords[server.launchStatus]),
    },
  )
}

/** Where what actions printed is, once one of them is over. */
function actionOutput(job: Job, log: readonly JobLogItem[], { sourceServerId }: ParticipatingServer): Html {
  const isOver = (item: JobLogItem): boolean =>
    item.sourceServerId === sourceServerId && (item.event === 'ACTION_END' || item.event === 'ACTION_FAIL')
  if (!log.some(isOver)) return nothing
  return html`<p>
    <a href="/jobs/${job.jobId}/${sourceServerId}/actions.log">What the post-launch actions printed</a>
  </p>`
}

/** How many post-launch actions failed: the step that runs them is done all the same. */
function failedActions({ name, output }: TaskStep): Html {
  if (name !== 'run-actions' || !Array.isArray(output)) return nothing
  const failed = (output as unknown as ActionOutcome[]).filter(({ status }) => status === 'FAILED').length
  return failed === 0 ? nothing : html` <span class="chip">${count(failed, 'action')} failed</span>`
}

function stepItem(step: TaskStep, now: Date): Html {
  const pictures = {
    PENDING: icon('circle'),
    RUNNING: icon('sync'),
    DONE: icon('circleCheck'),
    FAILED: icon('circleCross'),
    UNDONE: icon('back'),
    SKIPPED: icon('circle'),
  } as const
  const said = {
    PENDING: 'to come',
    RUNNING: 'running',
    DONE: 'done',
    FAILED: 'failed',
    UNDONE: 'taken back',
    SKIPPED: 'not run',
  } as const
  const isRemarkable = step.status === 'UNDONE' || step.status === 'SKIPPED'
  const state = isRemarkable
    ? html` <span class="chip">${said[step.status]}</span>`
    : html`<span class="visually-hidden">, ${said[step.status]}</span>`
  const tries =
    step.attempts > 1 ? html` <span class="chip">${count(step.attempts, 'attempt')}</span>` : nothing
  // A step that was taken back ended with that, so how long it ran is no longer known.
  const took =
    step.startedAt === undefined || isRemarkable
      ? nothing
      : html`<span class="step-time"
          >${duration(Date.parse(step.endedAt ?? now.toISOString()) - Date.parse(step.startedAt))}</span
        >`
  return html`<li class="step ${step.status.toLowerCase()}">
    ${pictures[step.status]}
    <div>
      <p>${stepWord(step.name)}${state}${tries}${failedActions(step)}</p>
      ${step.error === undefined ? nothing : html`<p class="step-error">${step.error}</p>`}
    </div>
    ${took}
  </li>`
}

function screenCard(job: Job, { server, hostname, hasScreenshot }: LaunchReport): Html {
  const id = `screen-${server.sourceServerId}`
  if (!hasScreenshot) return html`<div id="${id}"></div>`
  const address = `/jobs/${job.jobId}/${server.sourceServerId}/screenshot.png`
  return card(
    'Screen',
    html`<a href="${address}"
      ><img
        class="screen"
        src="${address}"
        alt="Screen of the machine launched for ${hostname}"
        loading="lazy"
    /></a>`,
    { id, picture: 'terminal' },
  )
}

function conversionCard({ server, conversion }: LaunchReport): Html {
  const id = `conversion-${server.sourceServerId}`
  if (conversion.length === 0) return html`<div id="${id}"></div>`
  return card(
    'What conversion changed',
    html`<p class="muted">On the copy only; the source server is not touched.</p>
      <ul class="changes">
        ${conversion.map(
          (change) =>
            html`<li>
              ${icon('check')}
              <div>
                <strong>${changeWord(change.name)}</strong>
                <p class="muted">${change.detail}</p>
              </div>
            </li>`,
        )}
      </ul>`,
    { id, picture: 'settings' },
  )
}

function serialCard(job: Job, { server, serialLog }: LaunchReport): Html {
  const id = `serial-${server.sourceServerId}`
  if (serialLog === undefined) return html`<div id="${id}"></div>`
  return card(
    'Serial console',
    html`<pre class="console" tabindex="0" aria-label="Serial console, last part">${serialLog}</pre>`,
    {
      id,
      picture: 'terminal',
      aside: html`<a class="quiet-link" href="/jobs/${job.jobId}/${server.sourceServerId}/serial.log"
        >Whole log</a
      >`,
    },
  )
}

function logCard({ log, now }: JobModel): Html {
  if (log.length === 0) {
    return html`<section class="card" id="log">
      ${emptyState('history', 'The log is empty', html`Entries appear as the job proceeds.`)}
    </section>`
  }
  const items = log.map(
    (item) =>
      html`<li
        class="event ${item.event.endsWith('FAIL') || item.event.endsWith('FAILED') ? 'error' : 'info'}"
      >
        ${icon('dot')}
        <div>
          <p>${item.message}</p>
          ${item.rawError === undefined ? nothing : html`<p class="step-error">${item.rawError}</p>`}
          <p class="muted">
            ${when(item.at, now)} · <span title="${item.event}">${jobLogWords[item.event]}</span>
          </p>
        </div>
      </li>`,
  )
  return card(
    'Job log',
    html`<ol class="events" tabindex="0" aria-label="Job log, oldest first">
      ${items}
    </ol>`,
    { id: 'log', picture: 'history' },
  )
}
