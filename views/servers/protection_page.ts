/**
 * Changing how consistency points are reached and what becomes of new disks.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { consistencyPolicyOf } from '../../domain/consistency_policy.ts'
import { html, nothing } from '../html.ts'
import { layout } from '../layout.ts'
import { pageHead, problemStrip, saveButtons } from '../parts.ts'

/** The form. */
export interface ProtectionModel {
  server: SourceServer
  /** Fields by name: as stored, or as they were sent and refused. */
  form: Record<string, string>
  /** What the form was made from. */
  version: string
  problem?: string | undefined
}

/** Settings as the form shows them. */
export function protectionForm(server: SourceServer): Record<string, string> {
  const policy = Object.entries(consistencyPolicyOf(server)).map(([name, value]) => [name, String(value)])
  return { ...Object.fromEntries(policy), newDisks: server.replicationConfiguration.newDisks ?? 'OFFER' }
}

function numberField(form: Record<string, string>, name: string, label: string, hint: string): Html {
  return html`<label class="field"
    ><span>${label}</span
    ><input
      name="${name}"
      inputmode="numeric"
      value="${form[name] ?? ''}"
      aria-describedby="${name}-hint"
      required
    /><small id="${name}-hint">${hint}</small></label
  >`
}

function choiceField(
  form: Record<string, string>,
  name: string,
  label: string,
  choices: readonly (readonly [string, string])[],
): Html {
  return html`<label class="field"
    ><span>${label}</span
    ><select name="${name}">
      ${choices.map(([value, text]) => html`<option value="${value}" ${value === form[name] ? html` selected` : nothing}>${text}</option>`)}
    </select></label
  >`
}

/** The page. */
export function protectionPage(frame: Frame, { server, form, version, problem }: ProtectionModel): Html {
  const address = `/servers/${server.sourceServerId}`
  const body = html`<div class="narrow">
    ${pageHead('Consistency points and new disks', { back: { href: address, label: server.sourceProperties.identificationHints.hostname } })}
    ${problem === undefined ? nothing : problemStrip(problem)}
    <form class="card form" method="post" action="${address}/protection">
      <input type="hidden" name="version" value="${version}" />
      <div class="field-pair">
        ${numberField(form, 'intervalMinutes', 'Minutes between points', '0: only launches ask for one')}
        ${numberField(form, 'maxFreezeMs', 'Longest freeze, milliseconds', '0: file systems are never frozen')}
        ${numberField(form, 'hookTimeoutSeconds', 'Seconds for each hook', 'Then it is ended and has failed')}
        ${numberField(form, 'maxHoldSeconds', 'Seconds for hooks and freeze', 'Then applications go on, whatever happens')}
        ${choiceField(form, 'onHookFailure', 'When a hook fails', [
          ['FAIL', 'No point is reached'],
          ['CRASH_CONSISTENT', 'The point is crash-consistent'],
        ])}
        ${choiceField(form, 'newDisks', 'A disk that appears', [
          ['OFFER', 'Is offered on the server page'],
          ['TAKE', 'Is replicated at once'],
        ])}
      </div>
      <p class="muted">
        Hooks are scripts on the source server, in <code>/etc/rehost/hooks.d/pre-freeze</code> and
        <code>post-thaw</code>.
      </p>
      ${saveButtons(address)}
    </form>
  </div>`
  return layout(frame, { title: 'Consistency points and new disks', section: 'servers', body })
}
