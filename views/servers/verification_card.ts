/**
 * The last verification of a server's copies: when, its verdict, and where they differed.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { VerifiedDisk } from '../../domain/verification.ts'
import type { Html } from '../html.ts'
import { bytes, count, duration, percent, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { badge, card, progressBar } from '../parts.ts'

const verdictWords = {
  IDENTICAL: { label: 'Identical', tone: 'good', icon: 'circleCheck' },
  REPAIRED: { label: 'Repaired', tone: 'warn', icon: 'circleCheck' },
  DIFFERENT: { label: 'Different', tone: 'bad', icon: 'circleCross' },
  INCOMPLETE: { label: 'Incomplete', tone: 'warn', icon: 'alert' },
} as const

/** The card; a part that live updates replace. */
export function verificationCard(server: SourceServer, now: Date): Html {
  const { verification } = server.replication
  if (verification === undefined) {
    return card(
      'Verification',
      html`<p class="muted">
        None yet. It reads every block on the source and on the staging disk, and proves that they are the
        same.
      </p>`,
      { id: 'verification', picture: 'shield' },
    )
  }
  const { verdict, endedAt, askedAt, disks } = verification
  if (verdict === undefined) {
    const total = server.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0)
    const done = disks.reduce((sum, disk) => sum + disk.checkedBytes, 0)
    const share = total === 0 ? 0 : Math.min(1, done / total)
    return card(
      'Verification',
      html`<p>Asked for ${when(askedAt, now)}</p>
        ${progressBar(share, `Verified of all disks: ${percent(share)}`)}
        <p class="muted">${bytes(done)} of ${bytes(total)} compared</p>`,
      {
        id: 'verification',
        picture: 'shield',
        aside: badge({ label: 'Under way', tone: 'info', icon: 'sync' }),
      },
    )
  }
  return card(
    'Verification',
    html`<p>${when(endedAt, now)}</p>
      <ul class="plain">
        ${disks.map((disk) => html`<li>${diskResult(server, disk)}</li>`)}
      </ul>
      ${proof(disks)}`,
    { id: 'verification', picture: 'shield', aside: badge(verdictWords[verdict]) },
  )
}

function diskResult(server: SourceServer, disk: VerifiedDisk): Html {
  const name = server.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)?.deviceName
  const compared = html`${name ?? `Disk ${disk.diskIndex + 1}`}: ${bytes(disk.checkedBytes)} compared in
  ${duration(disk.durationMs)}`
  const unreadable =
    disk.unreadableBlocks === 0
      ? nothing
      : html`, ${count(disk.unreadableBlocks, 'block')} cannot be read on the source`
  if (disk.differingBlocks === 0) return html`${compared}${unreadable}`
  const left = disk.differingBlocks - disk.repairedBlocks
  const places = disk.differences.map(
    ({ offsetBytes, lengthBytes }) => html`<li>Byte ${offsetBytes}, ${lengthBytes} bytes</li>`,
  )
  return html`${compared}${unreadable};
    <span class="${left === 0 ? 'tone-text-warn' : 'tone-text-bad'}"
      >${count(disk.differingBlocks, 'block')} differed,
      ${left === 0 ? 'all repaired' : `${left} of them not repaired`}</span
    >
    <details class="more">
      <summary>Where</summary>
      <ul class="plain">
        ${places}
      </ul>
    </details>`
}

function proof(disks: readonly VerifiedDisk[]): Html {
  return html`<details class="more">
    <summary>Proof of contents</summary>
    <ul class="roots">
      ${disks.map(
        ({ diskIndex, sourceRoot, replicaRoot }) =>
          html`<li>
            Disk ${diskIndex + 1}: source <code>${sourceRoot ?? 'not known'}</code>, copy
            <code>${replicaRoot ?? 'not known'}</code>
          </li>`,
      )}
    </ul>
  </details>`
}
