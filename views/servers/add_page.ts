/**
 * Adding a server: the command to run on it, and its first contact.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import type { RefusedCallModel } from '../trouble.ts'
import { count, dateTime, relative } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout } from '../layout.ts'
import { refusedCall } from '../trouble.ts'
import { card, copyable, facts, pageHead, problemStrip } from '../parts.ts'

/** A token and who has come with it. */
export interface ContactModel {
  tokenId: string
  expiresAt: string
  usesLeft: number
  arrived: { sourceServerId: SourceServer['sourceServerId']; hostname: string }[]
  /** Calls that were refused since the command was made. */
  refused: readonly RefusedCallModel[]
  now: Date
}

/** What firewalls must let through. */
export interface PortsModel {
  publicHost: string
  agentPort: number
  replicationPort: number
}

/** A made command. */
export interface AddServerModel {
  ports: PortsModel
  /** Shown in the answer that makes it and never again. */
  command?: string | undefined
  contact?: ContactModel | undefined
  problem?: string | undefined
}

/** The page: first the offer to make a command, then the command with its wait. */
export function addServerPage(frame: Frame, model: AddServerModel, stream?: string): Html {
  const body = html`${pageHead('Add a server', {
      back: { href: '/servers', label: 'Source servers' },
      lead: 'Run one command on the server you want to move. It stays in use all the time; nothing is restarted.',
    })}
    <div class="columns">
      <div class="column-main">
        ${model.problem === undefined ? nothing : problemStrip(model.problem)}
        ${model.contact === undefined ? makeCard() : commandCard(model.command, model.contact)}
        ${model.contact === undefined ? nothing : contactCard(model.contact)}
      </div>
      <div class="column-side">${portsCard(model.ports)}${troubleCard(model.ports)}</div>
    </div>`
  return layout(frame, { title: 'Add server', section: 'servers', body, stream })
}

function makeCard(): Html {
  return card(
    'Make the install command',
    html`<p>
        The command holds a one-time token, so it is made when you need it. It can be used until it expires,
        and is shown only once.
      </p>
      <form class="form-row" method="post" action="/servers/add">
        <label class="field"
          ><span>For how many servers</span
          ><input name="uses" type="number" min="1" max="1000" value="1" required
        /></label>
        <label class="field"
          ><span>Valid for</span
          ><select name="lifetimeMinutes">
            <option value="15">15 minutes</option>
            <option value="60" selected>1 hour</option>
            <option value="480">8 hours</option>
            <option value="1440">1 day</option>
            <option value="10080">7 days</option>
          </select></label
        >
        <button class="button primary" type="submit">${icon('terminal')}<span>Make command</span></button>
      </form>`,
    { picture: 'terminal' },
  )
}

function commandCard(command: string | undefined, contact: ContactModel): Html {
  const validity = html`<p class="muted">
    Good for ${count(contact.usesLeft + contact.arrived.length, 'server')}, until
    ${dateTime(contact.expiresAt)} (${relative(contact.expiresAt, contact.now)}). The token is shown only now.
  </p>`
  const shown =
    command === undefined
      ? html`<p>The command was shown when it was made, and cannot be shown again.</p>
          <a class="button" href="/servers/add">${icon('plus')}<span>Make another one</span></a>`
      : html`<ol class="steps-plain">
            <li>Open a terminal on the source server, as root.</li>
            <li>Run this command:</li>
          </ol>
          ${copyable(command, 'Install command', 'install-command')}${validity}`
  return card('Run this on the source server', shown, { picture: 'terminal' })
}

/** The wait for the first contact, which turns into links to the servers that came; a part that live updates replace. */
export function contactCard(contact: ContactModel): Html {
  const isOver = contact.now.getTime() >= Date.parse(contact.expiresAt) || contact.usesLeft === 0
  const arrived = contact.arrived.map(
    ({ sourceServerId, hostname }) =>
      html`<li class="arrived">
        ${icon('circleCheck')}<span><strong>${hostname}</strong> has made contact</span
        ><a class="button primary small" href="/servers/${sourceServerId}"
          ><span>Open server</span>${icon('arrow')}</a
        >
      </li>`,
  )
  const wait = isOver
    ? contact.arrived.length > 0
      ? nothing
      : html`<p class="wait">
          ${icon('clock')}<span
            >The token has expired or was taken back. <a href="/servers/add">Make another command</a></span
          >
        </p>`
    : html`<p class="wait" role="status">
        <span class="pulse" aria-hidden="true"></span
        ><span
          >${contact.arrived.length === 0 ? 'Waiting for first contact' : `Waiting for ${count(contact.usesLeft, 'more server')}`}…</span
        >
      </p>`
  return html`<section class="card" id="contact">
    <header class="card-head">
      <h2>${icon('unplug')}First contact</h2>
      <a class="quiet-link" href="/servers/add/${contact.tokenId}">Check now</a>
    </header>
    ${
      arrived.length === 0
        ? nothing
        : html`<ul class="arrivals">
            ${arrived}
          </ul>`
    }${contact.refused.map((call) => refusedCall(call, contact.now))}${wait}
  </section>`
}

function portsCard(ports: PortsModel): Html {
  return card(
    'Firewall',
    html`<p>The source server opens these connections; nothing needs to reach it.</p>
      ${facts([
        [
          `TCP ${ports.agentPort}`,
          html`to <code>${ports.publicHost}</code>: commands and certificates, HTTPS`,
        ],
        [`TCP ${ports.replicationPort}`, html`to the replication server: disk blocks, TLS 1.3`],
      ])}`,
    { picture: 'shield' },
  )
}

function troubleCard(ports: PortsModel): Html {
  return card(
    'If nothing happens',
    html`<ul class="hints">
      <li>
        <strong>curl: (7) or a timeout.</strong> A firewall is in the way: open TCP ${ports.agentPort} to
        <code>${ports.publicHost}</code>.
      </li>
      <li>
        <strong>curl: (90) public key does not match.</strong> Something between answers in Rehost’s place,
        such as a TLS proxy; let this address pass it by.
      </li>
      <li><strong>The token is wrong, expired or used.</strong> Make another command here.</li>
      <li><strong>It stops later.</strong> On the source server: <code>journalctl -u rehost-agent</code>.</li>
    </ul>`,
    { picture: 'info' },
  )
}
