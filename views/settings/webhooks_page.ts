/**
 * Webhooks: the list with the form for a new one, and the page of one endpoint.
 * @module
 */
import type { WebhookAttempt, WebhookEndpoint } from '../../domain/webhook.ts'
import type { Html } from '../html.ts'
import type { Frame, Message } from '../layout.ts'
import { when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout } from '../layout.ts'
import { badge, card, copyable, facts, pageHead, problemStrip, saveButtons } from '../parts.ts'

/** So much of an answer is shown. */
const shownCharacters = 120

/** The fields as they stand in a form: as stored, or as they were sent and refused. */
export interface WebhookForm {
  url: string
  description: string
  pattern: string
}

/** An empty form. */
export const newWebhookForm: WebhookForm = { url: '', description: '', pattern: '{}' }

/** An endpoint as its form shows it. */
export function webhookFormOf({ url, description, pattern }: WebhookEndpoint): WebhookForm {
  return { url, description, pattern: JSON.stringify(pattern, null, 2) }
}

function fields({ url, description, pattern }: WebhookForm): Html {
  return html`<label class="field"
      ><span>URL</span
      ><input name="url" type="url" value="${url}" maxlength="2048" placeholder="https://" required
    /></label>
    <label class="field"
      ><span>Description</span><input name="description" value="${description}" maxlength="200"
    /></label>
    <label class="field"
      ><span>Events</span
      ><textarea name="pattern" rows="5" spellcheck="false" aria-describedby="pattern-hint">
${pattern}</textarea
      ><small id="pattern-hint"
        >A pattern of EventBridge; {} for every event. For example: {"source": ["aws.mgn"]}</small
      ></label
    >`
}

function state({ isEnabled, disabledBecause }: WebhookEndpoint): Html {
  if (isEnabled) return badge({ label: 'Enabled', tone: 'good', icon: 'circleCheck' })
  const label = disabledBecause === undefined ? 'Disabled' : 'Disabled by Rehost'
  return badge({ label, tone: disabledBecause === undefined ? 'neutral' : 'bad', icon: 'circleCross' })
}

function secretStrip(secret: string | undefined): Html {
  if (secret === undefined) return nothing
  return html`<div class="strip tone-good" role="status">
    ${icon('circleCheck')}
    <div>
      <p>The receiver checks signatures with this secret. Copy it now; it is not shown again.</p>
      ${copyable(secret, 'Signing secret', 'new-secret')}
    </div>
  </div>`
}

/** The list, and the form for a new endpoint. */
export function webhooksPage(
  frame: Frame,
  model: {
    endpoints: WebhookEndpoint[]
    form: WebhookForm
    now: Date
    problem?: string | undefined
    message?: Message | undefined
  },
): Html {
  const rows = model.endpoints.map(
    (endpoint) =>
      html`<tr>
        <th scope="row" data-label="URL">
          <a class="break" href="/settings/webhooks/${endpoint.webhookId}">${endpoint.url}</a>
          <span class="row-sub">${endpoint.description}</span>
        </th>
        <td data-label="State">${state(endpoint)}</td>
        <td data-label="Made">
          ${when(endpoint.createdAt, model.now)} <span class="row-sub">by ${endpoint.createdBy}</span>
        </td>
      </tr>`,
  )
  const list =
    rows.length === 0
      ? html`<p class="muted">None yet.</p>`
      : html`<div class="table-box flat">
          <table class="table compact">
            <caption class="visually-hidden">
              Webhooks
            </caption>
            <thead>
              <tr>
                <th scope="col">URL</th>
                <th scope="col">State</th>
                <th scope="col">Made</th>
              </tr>
            </thead>
            <tbody>
              ${rows}
            </tbody>
          </table>
        </div>`
  const body = html`<div class="narrow">
    ${pageHead('Webhooks', { back: { href: '/settings', label: 'Settings' }, lead: 'Where events are sent, signed.' })}
    ${card('Endpoints', list, { picture: 'external' })}
    ${model.problem === undefined ? nothing : problemStrip(model.problem)}
    <form class="card form" method="post" action="/settings/webhooks">
      <h2>New endpoint</h2>
      ${fields(model.form)} ${saveButtons('/settings')}
    </form>
  </div>`
  return layout(frame, { title: 'Webhooks', section: 'settings', body, message: model.message })
}

/** The page of one endpoint. */
export function webhookPage(
  frame: Frame,
  model: {
    endpoint: WebhookEndpoint
    form: WebhookForm
    /** What the form was made from. */
    version: string
    attempts: WebhookAttempt[]
    waitingLanes: number
    now: Date
    secret?: string | undefined
    problem?: string | undefined
    message?: Message | undefined
  },
): Html {
  const { endpoint, now } = model
  const path = `/settings/webhooks/${endpoint.webhookId}`
  const button = (action: string, label: string, kind = ''): Html =>
    html`<form method="post" action="${path}/${action}">
      <button class="button small ${kind}" type="submit">${label}</button>
    </form>`
  const stateCard = card(
    'State',
    html`${facts([
        ['State', state(endpoint)],
        ['Why', endpoint.disabledBecause],
        ['Servers with events that wait', String(model.waitingLanes)],
        [
          'Secrets that sign',
          endpoint.secrets.map(
            ({ createdAt, signsUntil }) =>
              html`<div>
                made
                ${when(createdAt, now)}${signsUntil === undefined ? nothing : html`, until ${when(signsUntil, now)}`}
              </div>`,
          ),
        ],
      ])}
      <div class="form-row">
        ${endpoint.isEnabled ? button('test', 'Send a test') : nothing}
        ${endpoint.isEnabled ? button('disable', 'Disable') : button('enable', 'Enable')}
        ${button('rotate-secret', 'New secret')} ${button('delete', 'Delete', 'danger')}
      </div>`,
    { picture: 'external' },
  )
  const body = html`${pageHead('Webhook', {
      back: { href: '/settings/webhooks', label: 'Webhooks' },
      lead: html`<span class="break">${endpoint.url}</span>`,
    })}
    ${secretStrip(model.secret)}
    <div class="columns">
      <div class="column-main">
        ${card('Latest tries', attemptTable(path, model.attempts, now), { picture: 'history' })}
        ${model.problem === undefined ? nothing : problemStrip(model.problem)}
        <form class="card form" method="post" action="${path}">
          <input type="hidden" name="version" value="${model.version}" />
          <h2>Settings</h2>
          ${fields(model.form)} ${saveButtons('/settings/webhooks')}
        </form>
      </div>
      <div class="column-side">${stateCard}</div>
    </div>`
  return layout(frame, { title: 'Webhook', section: 'settings', body, message: model.message })
}

function attemptTable(path: string, attempts: WebhookAttempt[], now: Date): Html {
  if (attempts.length === 0) return html`<p class="muted">Nothing has been sent yet.</p>`
  const tones = { DELIVERED: 'good', FAILED: 'warn', DEAD: 'bad' } as const
  const labels = { DELIVERED: 'Delivered', FAILED: 'Failed', DEAD: 'Given up' }
  const pictures = { DELIVERED: 'circleCheck', FAILED: 'alert', DEAD: 'circleCross' } as const
  const rows = attempts.map(
    (own) =>
      html`<tr>
        <th scope="row" data-label="Event">${own.detailType} <span class="row-sub">${own.laneId}</span></th>
        <td data-label="Result">
          ${badge({ label: labels[own.outcome], tone: tones[own.outcome], icon: pictures[own.outcome] })}
          <span class="row-sub break">${own.problem ?? `Answered ${own.statusCode ?? ''}`}</span>
          ${own.responseBegin === undefined || own.responseBegin === '' ? nothing : html`<span class="row-sub break"><code>${own.responseBegin.slice(0, shownCharacters)}</code></span>`}
        </td>
        <td data-label="When">
          ${when(own.at, now)} <span class="row-sub">try ${own.attempt}, ${own.durationMs} ms</span>
        </td>
        <td>
          <form method="post" action="${path}/deliveries/${own.deliveryId}/redeliver">
            <button class="button small" type="submit" aria-label="Send again: ${own.deliveryId}">
              Send again
            </button>
          </form>
        </td>
      </tr>`,
  )
  return html`<div class="table-box flat">
    <table class="table compact">
      <caption class="visually-hidden">
        Latest tries
      </caption>
      <thead>
        <tr>
          <th scope="col">Event</th>
          <th scope="col">Result</th>
          <th scope="col">When</th>
          <td></td>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}
