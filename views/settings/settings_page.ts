/**
 * Settings: tokens of both kinds, access keys, and what this installation is.
 * @module
 */
import type { BandwidthSettings } from '../../domain/bandwidth.ts'
import type { AccessKey, ApiToken, InstallationToken } from '../../domain/enrolment.ts'
import type { WebhookEndpoint } from '../../domain/webhook.ts'
import type { Html } from '../html.ts'
import type { Frame, Message, Viewer } from '../layout.ts'
import { writeCalendarEntry } from '../../domain/bandwidth_lines.ts'
import { when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout, mayOperate } from '../layout.ts'
import { card, copyable, facts, pageHead, problemStrip } from '../parts.ts'
import type { AccessKeysModel } from './access_keys_card.ts'
import type { KeptParameter } from './parameters_card.ts'
import { parametersCard } from './parameters_card.ts'
import { accessKeysCard } from './access_keys_card.ts'

/** The page's content. */
export interface SettingsModel {
  viewer: Viewer
  installationTokens: InstallationToken[]
  /** Host names by server id. */
  hostnames: ReadonlyMap<string, string>
  /** For administrators. */
  apiTokens: ApiToken[]
  /** A token just made: shown in this answer and never again. */
  newApiToken?: { name: string; secret: string } | undefined
  /** For administrators. */
  accessKeys: AccessKey[]
  newAccessKey?: AccessKeysModel['made']
  /** Why the form for an access key was refused. */
  accessKeyProblem?: string | undefined
  /** For operators. */
  parameters: KeptParameter[]
  /** Why the form for a parameter was refused. */
  parameterProblem?: string | undefined
  /** The parameter whose deletion was refused because actions take it. */
  takenParameter?: string | undefined
  webhooks: WebhookEndpoint[]
  bandwidth: BandwidthSettings
  about: { version: string; agentUrl: string; pin: string; agentPort: number; replicationPort: number }
  now: Date
  message?: Message | undefined
  /** Why the form for an API token was refused. */
  problem?: string | undefined
}

/** The page. */
export function settingsPage(frame: Frame, model: SettingsModel): Html {
  const body = html`${pageHead('Settings')}
    <div class="columns">
      <div class="column-main">
        ${installationTokensCard(model)}${mayOperate(model.viewer) ? parametersCard({ parameters: model.parameters, problem: model.parameterProblem, taken: model.takenParameter, now: model.now }) : nothing}${model.viewer.role === 'admin' ? programsCards(model) : nothing}
      </div>
      <div class="column-side">
        ${bandwidthCard(model)}${model.viewer.role === 'admin' ? webhooksCard(model) : nothing}${aboutCard(model)}
      </div>
    </div>`
  return layout(frame, { title: 'Settings', section: 'settings', body, message: model.message })
}

/** What programs show. */
function programsCards(model: SettingsModel): Html {
  const { accessKeys: keys, newAccessKey: made, accessKeyProblem: problem, now } = model
  return html`${accessKeysCard({ keys, made, problem, now })}${apiTokensCard(model)}`
}

function installationTokensCard({ installationTokens, hostnames, viewer, now }: SettingsModel): Html {
  const rows = installationTokens.map((token) => {
    const isExpired = Date.parse(token.expiresAt) <= now.getTime()
    const isOpen = !isExpired && token.usesLeft > 0
    const state = isOpen
      ? `${token.usesLeft} left`
      : token.usesLeft === 0
        ? token.usedBy.length > 0
          ? 'used'
          : 'revoked'
        : 'expired'
    const revoke =
      isOpen && mayOperate(viewer)
        ? html`<form method="post" action="/settings/installation-tokens/${token.tokenId}/revoke">
            <button class="button small danger" type="submit" aria-label="Revoke ${token.tokenId}">
              Revoke
            </button>
          </form>`
        : nothing
    return html`<tr>
      <th scope="row" data-label="Token"><code>${token.tokenId}</code></th>
      <td data-label="State">${state}</td>
      <td data-label="Made">
        ${when(token.createdAt, now)} <span class="row-sub">by ${token.createdBy}</span>
      </td>
      <td data-label="Expires">${when(token.expiresAt, now)}</td>
      <td data-label="Used by">
        ${token.usedBy.length === 0 ? html`<span class="muted">–</span>` : token.usedBy.map((id) => html`<a href="/servers/${id}">${hostnames.get(id) ?? id}</a> `)}
      </td>
      <td>${revoke}</td>
    </tr>`
  })
  const table =
    rows.length === 0
      ? html`<p class="muted">None. They are made on <a href="/servers/add">Add server</a>.</p>`
      : html`<div class="table-box flat">
          <table class="table compact">
            <caption class="visually-hidden">
              Installation tokens
            </caption>
            <thead>
              <tr>
                <th scope="col">Token</th>
                <th scope="col">State</th>
                <th scope="col">Made</th>
                <th scope="col">Expires</th>
                <th scope="col">Used by</th>
                <td></td>
              </tr>
            </thead>
            <tbody>
              ${rows}
            </tbody>
          </table>
        </div>`
  return card('Installation tokens', table, { picture: 'key' })
}

function apiTokensCard({ apiTokens, newApiToken, problem, now }: SettingsModel): Html {
  const shown =
    newApiToken === undefined
      ? nothing
      : html`<div class="strip tone-good" role="status">
          ${icon('circleCheck')}
          <div>
            <p>The token “${newApiToken.name}” is made. Copy it now; it is not shown again.</p>
            ${copyable(newApiToken.secret, 'API token', 'new-api-token')}
          </div>
        </div>`
  const rows = apiTokens.map(
    (token) =>
      html`<tr>
        <th scope="row" data-label="Name">${token.name}</th>
        <td data-label="Role">${token.role}</td>
        <td data-label="Made">${when(token.createdAt, now)}</td>
        <td>
          <form method="post" action="/settings/api-tokens/${token.tokenSha256}/revoke">
            <button class="button small danger" type="submit" aria-label="Revoke ${token.name}">
              Revoke
            </button>
          </form>
        </td>
      </tr>`,
  )
  return card(
    'API tokens',
    html`<p class="muted">
        For programs and the command line: <code>Authorization: Bearer …</code> at <code>/api/v1</code>.
      </p>
      ${shown}${
        rows.length === 0
          ? nothing
          : html`<div class="table-box flat">
              <table class="table compact">
                <caption class="visually-hidden">
                  API tokens
                </caption>
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">Role</th>
                    <th scope="col">Made</th>
                    <td></td>
                  </tr>
                </thead>
                <tbody>
                  ${rows}
                </tbody>
              </table>
            </div>`
      }
      ${problem === undefined ? nothing : problemStrip(problem)}
      <form class="form-row" method="post" action="/settings/api-tokens">
        <label class="field"><span>Name</span><input name="name" maxlength="64" required /></label
        ><label class="field"
          ><span>Role</span
          ><select name="role">
            <option value="viewer">viewer</option>
            <option value="operator" selected>operator</option>
            <option value="admin">admin</option>
          </select></label
        ><button class="button" type="submit">${icon('plus')}<span>Make token</span></button>
      </form>`,
    { picture: 'key' },
  )
}

function bandwidthCard({ bandwidth: { calendar, sites }, viewer }: SettingsModel): Html {
  const change = mayOperate(viewer)
    ? html`<a class="quiet-link" href="/settings/bandwidth">Change</a>`
    : nothing
  const lines = (calendar?.entries ?? []).map((entry) => html`<li>${writeCalendarEntry(entry)}</li>`)
  return card(
    'Bandwidth',
    facts([
      [
        'Calendar',
        lines.length === 0
          ? 'none'
          : html`<ul class="plain">
                ${lines}
              </ul>
              <span class="muted">Mbit/s, ${calendar?.timeZone}</span>`,
      ],
      [
        'Sites',
        sites.length === 0
          ? 'none'
          : html`<ul class="plain">
              ${sites.map(({ name, limitMbps }) => html`<li>${name}: ${limitMbps} Mbit/s</li>`)}
            </ul>`,
      ],
    ]),
    { picture: 'sync', aside: change },
  )
}

function webhooksCard({ webhooks }: SettingsModel): Html {
  const disabled = webhooks.filter(({ isEnabled }) => !isEnabled).length
  return card(
    'Webhooks',
    facts([
      ['Endpoints', String(webhooks.length)],
      ['Disabled', disabled === 0 ? undefined : String(disabled)],
    ]),
    { picture: 'external', aside: html`<a class="quiet-link" href="/settings/webhooks">Change</a>` },
  )
}

function aboutCard({ about }: SettingsModel): Html {
  return card(
    'About',
    facts([
      ['Version', about.version],
      ['Agents reach', html`<code>${about.agentUrl}</code>`],
      ['Public key pin', html`<code class="break">sha256//${about.pin}</code>`],
      ['Agent port', String(about.agentPort)],
      ['Replication port', String(about.replicationPort)],
    ]),
    { picture: 'info' },
  )
}
