/**
 * Disks of the source server that have no copy: offered to be taken, or refused before.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Viewer } from '../layout.ts'
import { decideTakeDisk } from '../../domain/disk_changes.ts'
import { bytes, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { mayOperate } from '../layout.ts'
import { card } from '../parts.ts'

/** The card; a part that live updates replace. Empty while there is no such disk. */
export function diskOffersCard(server: SourceServer, viewer: Viewer, now: Date): Html {
  const offers = server.offeredDisks ?? []
  if (offers.length === 0) return html`<div id="disk-offers"></div>`
  const decision = decideTakeDisk(server)
  const button = (deviceName: string, choice: 'TAKE' | 'REFUSE', label: string) =>
    html`<form method="post" action="/servers/${server.sourceServerId}/disks">
      <input type="hidden" name="deviceName" value="${deviceName}" />
      <input type="hidden" name="choice" value="${choice}" />
      <button class="button small" type="submit">${label}</button>
    </form>`
  const items = offers.map(({ deviceName, sizeBytes, noticedAt, refusedBy }) => {
    const isAsked = refusedBy === undefined
    const buttons = !mayOperate(viewer)
      ? nothing
      : html`<span class="page-actions">
          ${decision.possible ? button(deviceName, 'TAKE', 'Replicate it') : nothing}${isAsked ? button(deviceName, 'REFUSE', 'Leave it out') : nothing}
        </span>`
    return html`<li>
      <p>
        <code>${deviceName}</code>, ${bytes(sizeBytes)}, noticed
        ${when(noticedAt, now)}${isAsked ? nothing : html`; left out by ${refusedBy}`}
      </p>
      ${buttons}
    </li>`
  })
  return card(
    'Disks without a copy',
    html`<p class="muted">
        These have appeared since replication began. A disk that is taken is copied while the others go on.
        ${decision.possible ? nothing : decision.because}
      </p>
      <ul class="plain">
        ${items}
      </ul>`,
    { id: 'disk-offers', picture: 'disk' },
  )
}
