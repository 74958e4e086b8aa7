import { expect, test } from 'vitest'
import { progressLine, verificationLines } from '../../../bin/commands/verify.ts'
import { WaitLines } from '../../../bin/commands/wait_lines.ts'
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

test('progressLine() says how far each disk is', () => {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
  const [disk] = server.disks
  const base = { differingBlocks: 0, damagedBlocks: 0, repairedBlocks: 0, unreadableBlocks: 0 }
  const half = { ...base, differences: [], durationMs: 1, diskIndex: 0, checkedBytes: disk!.sizeBytes / 2 }
  const verification = { verifyEpoch: 1, askedAt: later(1), askedBy: 'admin' }
  const said = `${server.sourceServerId}: the copies are being verified: /dev/sda`
  expect(progressLine(server, { ...verification, disks: [] })).toBe(`${said} 0%`)
  expect(progressLine(server, { ...verification, disks: [half] })).toBe(`${said} 50%`)
})

test('WaitLines tells each change at once, and what stays the same every 30 s', () => {
  const printed: string[] = []
  let nowMs = 0
  const lines = new WaitLines(
    (line) => printed.push(line),
    () => nowMs,
  )
  const figures = (atMs: number, state: string) => {
    nowMs = atMs
    lines.tell(state, `${state} at ${atMs}`)
  }
  for (let atMs = 0; atMs <= 70_000; atMs += 500) figures(atMs, 'one')
  figures(70_500, 'two')
  figures(71_000, 'two')
  expect(printed).toEqual(['one at 0', 'one at 30000', 'one at 60000', 'two at 70500'])
})
