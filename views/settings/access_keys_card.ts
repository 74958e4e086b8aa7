/**
 * Access keys on the settings page: those there are, and a form for another.
 * @module
 */
import type { AccessKey } from '../../domain/enrolment.ts'
import type { Html } from '../html.ts'
import { isExpired } from '../../domain/access_key.ts'
import { when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { card, copyable, problemStrip } from '../parts.ts'

/** What the card shows. */
export interface AccessKeysModel {
  keys: AccessKey[]
  /** A key just made: shown in this answer and never again. */
  made?: { name: string; accessKeyId: string; secretAccessKey: string } | undefined
  /** Why the form was refused. */
  problem?: string | undefined
  now: Date
}

/** The card, for administrators. */
export function accessKeysCard(model: AccessKeysModel): Html {
  return card(
    'Access keys',
    html`<p class="muted">
        For the AWS CLI, SDKs and Terraform: requests to <code>aws mgn</code> at this address, signed with the
        key and its secret.
      </p>
      ${madeStrip(model)}${table(model)}${form(model)}`,
    { picture: 'key' },
  )
}

function madeStrip({ made }: AccessKeysModel): Html {
  if (made === undefined) return nothing
  const lines = `export AWS_ACCESS_KEY_ID=${made.accessKeyId}\nexport AWS_SECRET_ACCESS_KEY=${made.secretAccessKey}`
  return html`<div class="strip tone-good" role="status">
    ${icon('circleCheck')}
    <div>
      <p>The access key “${made.name}” is made. Copy it now; its secret is not shown again.</p>
      ${copyable(lines, 'Access key', 'new-access-key')}
    </div>
  </div>`
}

function table({ keys, now }: AccessKeysModel): Html {
  if (keys.length === 0) return nothing
  return html`<div class="table-box flat">
    <table class="table compact">
      <caption class="visually-hidden">
        Access keys
      </caption>
      <thead>
        <tr>
          <th scope="col">Key</th>
          <th scope="col">State</th>
          <th scope="col">May do</th>
          <th scope="col">Made</th>
          <th scope="col">Last used</th>
          <td></td>
        </tr>
      </thead>
      <tbody>
        ${keys.map((key) => row(key, now))}
      </tbody>
    </table>
  </div>`
}

function row(key: AccessKey, now: Date): Html {
  const { accessKeyId: id, name, role, scopes, status, createdAt, createdBy, lastUsedAt, expiresAt } = key
  const state = isExpired(key, now) ? 'expired' : status === 'ACTIVE' ? 'active' : 'disabled'
  const change = status === 'ACTIVE' ? 'disable' : 'enable'
  const end =
    expiresAt === undefined ? nothing : html`<span class="row-sub">until ${when(expiresAt, now)}</span>`
  return html`<tr>
    <th scope="row" data-label="Key">
      ${name} <span class="row-sub"><code>${id}</code></span>
    </th>
    <td data-label="State">${state} ${end}</td>
    <td data-label="May do">${role} <span class="row-sub">${scopes.join(' ')}</span></td>
    <td data-label="Made">${when(createdAt, now)} <span class="row-sub">by ${createdBy}</span></td>
    <td data-label="Last used">
      ${lastUsedAt === undefined ? html`<span class="muted">–</span>` : when(lastUsedAt, now)}
    </td>
    <td>
      <div class="row-actions">${changeForm(id, name, change)}${changeForm(id, name, 'delete')}</div>
    </td>
  </tr>`
}

const labels = { disable: 'Disable', enable: 'Enable', delete: 'Delete' } as const

function changeForm(id: string, name: string, change: keyof typeof labels): Html {
  const tone = change === 'delete' ? ' danger' : ''
  return html`<form method="post" action="/settings/access-keys/${encodeURIComponent(id)}/${change}">
    <button class="button small${tone}" type="submit" aria-label="${labels[change]} ${name}">
      ${labels[change]}
    </button>
  </form>`
}

function form({ problem }: AccessKeysModel): Html {
  return html`${problem === undefined ? nothing : problemStrip(problem)}
    <form class="form-row" method="post" action="/settings/access-keys">
      <label class="field"><span>Name</span><input name="name" maxlength="64" required /></label
      ><label class="field"
        ><span>Role</span
        ><select name="role">
          <option value="viewer">viewer</option>
          <option value="operator" selected>operator</option>
          <option value="admin">admin</option>
        </select></label
      ><label class="field"
        ><span>Operations</span
        ><input name="scopes" value="*" required placeholder="mgn:Describe* mgn:StartTest" spellcheck="false"
      /></label>
      <label class="field"
        ><span>Days</span><input name="lifetimeDays" inputmode="decimal" placeholder="for ever" /></label
      ><button class="button" type="submit">${icon('plus')}<span>Make key</span></button>
    </form>`
}
