import { describe, expect, it } from 'vitest'
import type { Verification, VerifiedDisk } from '../../../domain/verification.ts'
import { verificationCard } from '../../../views/servers/verification_card.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const size = 1_073_741_824
const sourceRoot = 'ab'.repeat(32)
const disk: VerifiedDisk = {
  diskIndex: 0,
  checkedBytes: size,
  differingBlocks: 0,
  damagedBlocks: 0,
  repairedBlocks: 0,
  unreadableBlocks: 0,
  differences: [],
  sourceRoot,
  replicaRoot: sourceRoot,
  durationMs: 4000,
}

/** The card's words, without its tags. */
function words(verification?: Partial<Verification>): string {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
  if (verification !== undefined)
    server.replication.verification = {
      verifyEpoch: 1,
      askedAt: later(1),
      askedBy: 'admin',
      disks: [disk],
      ...verification,
    }
  return String(verificationCard(server, new Date(later(13))))
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
}

describe('verificationCard()', () => {
  it('says what it is while there is none', () => {
    expect(words()).toContain('None yet. It reads every block on the source and on the staging disk')
  })

  it('shows how far one is that is under way', () => {
    const text = words({ disks: [{ ...disk, checkedBytes: size / 4 }] })
    expect(text).toContain('Under way')
    expect(text).toContain('268 MB of 1.07 GB compared')
  })

  it('shows the verdict and both roots', () => {
    const text = words({ endedAt: later(9), verdict: 'IDENTICAL' })
    expect(text).toMatch(/Identical .*\/dev\/sda: 1\.07 GB compared in 4\.0 s/)
    expect(text).toContain(`Disk 1: source ${sourceRoot} , copy ${sourceRoot}`)
  })

  it('names where the copy differed, and what was not repaired', () => {
    const differing = {
      ...disk,
      differingBlocks: 3,
      differences: [{ offsetBytes: 65_536, lengthBytes: 196_608 }],
    }
    const repaired = words({
      endedAt: later(9),
      verdict: 'REPAIRED',
      disks: [{ ...differing, repairedBlocks: 3 }],
    })
    expect(repaired).toMatch(/Repaired .*3 blocks differed, all repaired .*Byte 65536, 196608 bytes/)
    const different = words({
      endedAt: later(9),
      verdict: 'DIFFERENT',
      disks: [{ ...differing, repairedBlocks: 1 }],
    })
    expect(different).toMatch(/Different .*3 blocks differed, 2 of them not repaired/)
  })
})
