import { expect, test } from 'vitest'
import { verificationLines } from '../../../bin/commands/verify.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const root = 'ab'.repeat(32)

test('verificationLines() says for each disk what was compared, where it differed, and both roots', () => {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
  const lines = verificationLines(server, {
    verifyEpoch: 1,
    askedAt: later(1),
    askedBy: 'admin',
    endedAt: later(9),
    verdict: 'REPAIRED',
    disks: [
      {
        diskIndex: 0,
        checkedBytes: 1_073_741_824,
        differingBlocks: 3,
        damagedBlocks: 2,
        repairedBlocks: 3,
        unreadableBlocks: 0,
        differences: [{ offsetBytes: 65_536, lengthBytes: 196_608 }],
        sourceRoot: root,
        replicaRoot: root,
        durationMs: 1520,
      },
    ],
  })
  expect(lines).toEqual([
    '/dev/sda: 16384 blocks compared in 1.5 s, 3 differed (2 damaged on the staging disk), 3 repaired',
    '  differed at byte 65536, 196608 bytes',
    `  root of the source  ${root}`,
    `  root of the copy    ${root}`,
    `${server.sourceServerId}: the copy differed, and is repaired`,
  ])
})
