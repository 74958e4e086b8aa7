/**
 * A page for what went wrong or is not there.
 * @module
 */
import type { Html } from './html.ts'
import type { Frame } from './layout.ts'
import { html } from './html.ts'
import { layout } from './layout.ts'
import { emptyState } from './parts.ts'

/** The page. `detail` is a sentence for the reader. */
export function errorPage(frame: Frame, model: { title: string; detail: string }): Html {
  const back = html`<a class="button" href="/servers">Source servers</a>`
  return layout(frame, {
    title: model.title,
    section: 'none',
    body: emptyState('alert', model.title, html`${model.detail}`, back, 1),
  })
}
