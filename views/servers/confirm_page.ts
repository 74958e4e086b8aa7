/**
 * Asking before an action: what it does, and whether it is possible. The same text fills the dialog and the plain page.
 * @module
 */
import type { Decision, ServerAction } from '../../domain/actions.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout } from '../layout.ts'
import { problemStrip } from '../parts.ts'
import { actionWords } from '../action_words.ts'

/** The question. */
export interface ConfirmModel {
  server: SourceServer
  action: ServerAction
  slug: string
  decision: Decision
}

/** The question as the content of a dialog. */
export function confirmForm({ server, action, slug, decision }: ConfirmModel): Html {
  const word = actionWords[action]
  const { hostname } = server.sourceProperties.identificationHints
  const back = `/servers/${server.sourceServerId}`
  const style = word.tone === 'danger' ? 'danger-fill' : 'primary'
  return html`<form class="confirm" method="post" action="${back}/actions/${slug}">
    <h1 class="confirm-title">${icon(word.icon)}<span>${word.button}</span></h1>
    <p class="confirm-server">${hostname} <code>${server.sourceServerId}</code></p>
    <p>${word.effect}</p>
    ${decision.possible ? nothing : problemStrip(decision.because)}
    <div class="confirm-buttons">
      <a class="button" href="${back}" data-dialog-close>Cancel</a
      >${decision.possible ? html`<button class="button ${style}" type="submit">${icon(word.icon)}<span>${word.button}</span></button>` : nothing}
    </div>
  </form>`
}

/** The question as a page of its own. */
export function confirmPage(frame: Frame, model: ConfirmModel): Html {
  const body = html`<div class="narrow"><section class="card">${confirmForm(model)}</section></div>`
  return layout(frame, { title: actionWords[model.action].button, section: 'servers', body })
}
