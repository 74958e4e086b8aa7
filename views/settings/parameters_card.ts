/**
 * Parameters on the settings page: the names there are, and a form for another value.
 * @module
 */
import type { Parameter } from '../../domain/parameter.ts'
import type { Html } from '../html.ts'
import { when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { card, problemStrip } from '../parts.ts'

/** A parameter without its value. */
export type KeptParameter = Omit<Parameter, 'sealedValue'>

/** What the card shows. */
export interface ParametersModel {
  parameters: KeptParameter[]
  /** Why the form was refused. */
  problem?: string | undefined
  /** The parameter that was not deleted because actions take it. */
  taken?: string | undefined
  now: Date
}

/** The card, for operators. */
export function parametersCard({ parameters, problem, taken, now }: ParametersModel): Html {
  return card(
    'Parameters',
    html`<p class="muted">
        What post-launch actions name: scripts and values, kept sealed. A value is shown to no page.
      </p>
      ${table(parameters, now)}${problem === undefined ? nothing : problemStrip(problem)}${taken === undefined ? nothing : forceForm(taken)}
      <form class="form-row" method="post" action="/settings/parameters">
        <label class="field"
          ><span>Name</span><input name="name" maxlength="512" required spellcheck="false" /></label
        ><label class="field"
          ><span>Value</span><textarea name="value" rows="3" required spellcheck="false"></textarea></label
        ><button class="button" type="submit">${icon('plus')}<span>Keep</span></button>
      </form>`,
    { picture: 'terminal' },
  )
}

/** Asks again, with what comes of it above. */
function forceForm(name: string): Html {
  return html`<form
    class="form-row"
    method="post"
    action="/settings/parameters/${encodeURIComponent(name)}/delete"
  >
    <input type="hidden" name="force" value="true" /><button class="button danger" type="submit">
      Delete ${name} all the same
    </button>
  </form>`
}

function table(parameters: readonly KeptParameter[], now: Date): Html {
  if (parameters.length === 0) return nothing
  return html`<div class="table-box flat">
    <table class="table compact">
      <caption class="visually-hidden">
        Parameters
      </caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Changed</th>
          <td></td>
        </tr>
      </thead>
      <tbody>
        ${parameters.map(
          ({ name, changedAt, changedBy }) =>
            html`<tr>
              <th scope="row" data-label="Name"><code class="break">${name}</code></th>
              <td data-label="Changed">
                ${when(changedAt, now)} <span class="row-sub">by ${changedBy}</span>
              </td>
              <td>
                <form method="post" action="/settings/parameters/${encodeURIComponent(name)}/delete">
                  <button class="button small danger" type="submit" aria-label="Delete ${name}">
                    Delete
                  </button>
                </form>
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}
