import { describe, expect, it } from 'vitest'
import type { VerificationProgress, VerifiedDisk } from '../../../domain/verification.ts'
import { applyAction, decideAction } from '../../../domain/actions.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import { openVerification, verdictOf, withVerificationResult } from '../../../domain/verification.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

const root = 'ab'.repeat(32)

function disk(changes: Partial<VerifiedDisk> = {}): VerifiedDisk {
  return {
    diskIndex: 0,
    checkedBytes: 1_073_741_824,
    differingBlocks: 0,
    damagedBlocks: 0,
    repairedBlocks: 0,
    unreadableBlocks: 0,
    differences: [],
    sourceRoot: root,
    replicaRoot: root,
    durationMs: 1500,
    ...changes,
  }
}

const done = (disks: VerifiedDisk[], verifyEpoch = 1): VerificationProgress => ({
  verifyEpoch,
  isDone: true,
  disks,
})

const asked = () =>
  applyAction(testServer('READY_FOR_TEST', 'CONTINUOUS'), 'VERIFY', {
    at: later(1),
    actor: 'admin',
    jobId: testJobId,
  })

describe('verdictOf()', () => {
  const { sourceRoot: _source, replicaRoot: _replica, ...noRoots } = disk()
  it.each([
    ['IDENTICAL', [disk()], [0]],
    ['IDENTICAL', [disk(), disk({ diskIndex: 1 })], [0, 1]],
    ['REPAIRED', [disk({ differingBlocks: 2, repairedBlocks: 2 })], [0]],
    ['DIFFERENT', [disk({ differingBlocks: 2, repairedBlocks: 1, replicaRoot: 'cd'.repeat(32) })], [0]],
    ['DIFFERENT', [disk({ differingBlocks: 1, damagedBlocks: 1, unreadableBlocks: 1 })], [0]],
    ['INCOMPLETE', [disk({ unreadableBlocks: 1, replicaRoot: 'cd'.repeat(32) })], [0]],
    ['INCOMPLETE', [disk({ replicaRoot: 'cd'.repeat(32) })], [0]],
    ['INCOMPLETE', [noRoots], [0]],
    ['INCOMPLETE', [disk()], [0, 1]],
    ['INCOMPLETE', [], [0]],
  ] as const)('%s of %o', (verdict, disks, diskIndexes) => {
    expect(verdictOf(disks, diskIndexes)).toBe(verdict)
  })
})

describe('a verification', () => {
  it('is asked for once at a time, by whom and when, and counts up', () => {
    const server = asked()
    expect(openVerification(server)).toEqual({
      verifyEpoch: 1,
      askedAt: later(1),
      askedBy: 'admin',
      disks: [],
    })
    expect(server.outbox.at(-1)).toMatchObject({
      type: 'OPERATOR',
      message: 'Asked to verify the copies of this server',
    })
    expect(decideAction(server, 'VERIFY')).toEqual({
      possible: false,
      because: `A verification is under way since ${later(1)}`,
    })
    const ended = withVerificationResult(server, done([disk()]), later(9))
    expect(openVerification(ended)).toBeUndefined()
    const again = applyAction(ended, 'VERIFY', { at: later(20), actor: 'admin', jobId: testJobId })
    expect(openVerification(again)?.verifyEpoch).toBe(2)
    expect(withVerificationResult(again, done([disk()]), later(21))).toBe(again)
  })

  it('is refused while disks are copied or replication stalls', () => {
    for (const state of ['INITIAL_SYNC', 'RESCAN', 'STALLED'] as const)
      expect(decideAction(testServer('READY_FOR_TEST', state), 'VERIFY')).toMatchObject({ possible: false })
  })

  it.each([
    ['IDENTICAL', 'INFO', disk(), 'Verification: every block of the copy is identical'],
    [
      'REPAIRED',
      'ERROR',
      disk({
        differingBlocks: 3,
        repairedBlocks: 3,
        differences: [
          { offsetBytes: 65_536, lengthBytes: 131_072 },
          { offsetBytes: 1_048_576, lengthBytes: 65_536 },
        ],
      }),
      'Verification: the copy is identical after a repair. The copy differed: /dev/sda at byte 65536 (131072 bytes), ' +
        '/dev/sda at byte 1048576 (65536 bytes)',
    ],
    [
      'DIFFERENT',
      'ERROR',
      disk({
        differingBlocks: 7,
        differences: Array.from({ length: 7 }, (_, index) => ({
          offsetBytes: index * 131_072,
          lengthBytes: 65_536,
        })),
      }),
      /could not be repaired. The copy differed: .*\/dev\/sda at byte 524288 \(65536 bytes\) and more places, 7 blocks in all. Look at/,
    ],
    ['INCOMPLETE', 'WARNING', disk({ unreadableBlocks: 1 }), /cannot be read/],
  ] as const)('ends as %s with an event that says where', (verdict, level, own, message) => {
    const ended = withVerificationResult(asked(), done([own]), later(9))
    expect(ended.replication.verification).toEqual({
      verifyEpoch: 1,
      askedAt: later(1),
      askedBy: 'admin',
      endedAt: later(9),
      verdict,
      disks: [own],
    })
    const event = ended.outbox.at(-1)
    expect(event).toMatchObject({ type: 'VERIFICATION', actor: 'agent', level })
    expect(event?.message).toMatch(message)
  })

  it('takes progress along with what is written anyway, and its end at once', () => {
    const report = (verification?: VerificationProgress): HeartbeatReport => ({
      generation: 1,
      state: 'CONTINUOUS',
      isConnected: true,
      lagMs: 10,
      disks: [],
      notes: [],
      ...(verification === undefined ? {} : { verification }),
    })
    const server = applyHeartbeat(asked(), report(), later(2))
    const half = { verifyEpoch: 1, isDone: false, disks: [disk({ checkedBytes: 7 })] }
    expect(applyHeartbeat(server, report(half), later(3))).toBe(server)
    const written = applyHeartbeat(server, report(half), later(30))
    expect(openVerification(written)?.disks[0]?.checkedBytes).toBe(7)
    const ended = applyHeartbeat(written, report(done([disk()])), later(31))
    expect(ended.replication.verification).toMatchObject({ verdict: 'IDENTICAL', endedAt: later(31) })
    expect(applyHeartbeat(ended, report(done([disk()])), later(32))).toBe(ended)
  })
})
