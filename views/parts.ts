/**
 * Small pieces that several pages share.
 * @module
 */
import type { Html, HtmlValue } from './html.ts'
import type { IconName } from './icons.ts'
import type { Tone, Word } from './words.ts'
import { percent } from './format.ts'
import { html, nothing } from './html.ts'
import { icon } from './icons.ts'

/** A state: icon, word and colour together. */
export function badge(word: Word): Html {
  return html`<span class="badge tone-${word.tone}">${icon(word.icon)}<span>${word.label}</span></span>`
}

/** A bar with its share in words. The element is the browser's own, so that no style needs to be written into the page. */
export function progressBar(share: number, label: string, tone: Tone = 'accent'): Html {
  const value = Math.max(0, Math.min(1, share))
  return html`<span class="progress"
    ><progress class="tone-${tone}" max="1000" value="${Math.floor(value * 1000)}" aria-label="${label}">
      ${percent(value)}</progress
    ><span class="progress-text">${percent(value)}</span></span
  >`
}

/** A box with a heading. `id` makes it a part that live updates replace. */
export function card(
  heading: string,
  body: Html,
  options: { id?: string; picture?: IconName; aside?: Html } = {},
): Html {
  const id = options.id === undefined ? nothing : html` id="${options.id}"`
  return html`<section class="card" ${id}>
    <header class="card-head">
      <h2>${options.picture === undefined ? nothing : icon(options.picture)}${heading}</h2>
      ${options.aside ?? nothing}
    </header>
    ${body}
  </section>`
}

/** Names with values. Rows without a value are left out. */
export function facts(rows: readonly (readonly [string, HtmlValue])[]): Html {
  return html`<dl class="facts">
    ${rows
      .filter(([, value]) => value !== undefined && value !== null && value !== '')
      .map(
        ([name, value]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
  </dl>`
}

/** One big figure with its name. */
export function figure(name: string, value: string, hint?: string, tone: Tone = 'neutral'): Html {
  return html`<div class="figure tone-${tone}">
    <dt>${name}</dt>
    <dd>${value}</dd>
    ${hint === undefined ? nothing : html`<dd class="figure-hint">${hint}</dd>`}
  </div>`
}

/** Text that a click copies; without the page's script it is selected by hand. */
export function copyable(text: string, label: string, id: string): Html {
  return html`<div class="command">
    <pre id="${id}" tabindex="0" aria-label="${label}"><code>${text}</code></pre>
    <button class="button small" type="button" data-copy="${id}" hidden>
      ${icon('copy')}<span data-copy-label>Copy</span>
    </button>
  </div>`
}

/** A list that is empty, and what to do about it. */
export function emptyState(
  picture: IconName,
  heading: string,
  text: Html,
  action: Html = nothing,
  level: 1 | 2 = 2,
): Html {
  return html`<div class="empty">
    <span class="empty-icon">${icon(picture)}</span>
    ${level === 1 ? html`<h1>${heading}</h1>` : html`<h2>${heading}</h2>`}
    <p>${text}</p>
    ${action}
  </div>`
}

/** The head of a page. */
export function pageHead(
  heading: HtmlValue,
  options: { lead?: HtmlValue; actions?: Html; back?: { href: string; label: string } } = {},
): Html {
  return html`<div class="page-head">
    ${options.back === undefined ? nothing : html`<a class="back-link" href="${options.back.href}">${options.back.label}</a>`}
    <div class="page-head-row">
      <div>
        <h1>${heading}</h1>
        ${options.lead === undefined ? nothing : html`<p class="lead">${options.lead}</p>`}
      </div>
      ${options.actions === undefined ? nothing : html`<div class="page-actions">${options.actions}</div>`}
    </div>
  </div>`
}

/** A problem that needs the operator: what, and what to do. */
export function notice(tone: Tone, heading: string, text: HtmlValue): Html {
  return html`<div class="notice tone-${tone}">
    ${icon(tone === 'bad' || tone === 'warn' ? 'alert' : 'info')}
    <div>
      <strong>${heading}</strong>
      <p>${text}</p>
    </div>
  </div>`
}

/** The end of a form of settings: back to `back`, or save. */
export function saveButtons(back: string): Html {
  return html`<div class="confirm-buttons">
    <a class="button" href="${back}">Cancel</a><button class="button primary" type="submit">Save</button>
  </div>`
}

/** Why a form was refused. */
export function problemStrip(problem: string): Html {
  return html`<p class="strip tone-bad" role="alert">${icon('circleCross')}<span>${problem}</span></p>`
}

/** The fields of a bandwidth calendar; `when` says what it is for. */
export function calendarFields(
  { timeZone, calendar }: { timeZone: string; calendar: string },
  when: string,
): Html {
  return html`<label class="field"
      ><span>Weekly calendar</span
      ><textarea name="calendar" rows="4" spellcheck="false" aria-describedby="calendar-hint">
${calendar}</textarea
      ><small id="calendar-hint"
        >One a line: days, times, and Mbit/s, off or unlimited. For example: Mon-Fri 08:00-18:00 20.
        ${when}</small
      ></label
    >
    <label class="field"
      ><span>Time zone of the calendar</span
      ><input name="timeZone" value="${timeZone}" maxlength="64" aria-describedby="zone-hint" /><small
        id="zone-hint"
        >As in Europe/Berlin; when clocks change there, the calendar follows</small
      ></label
    >`
}
