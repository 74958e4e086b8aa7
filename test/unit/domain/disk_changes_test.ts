import { describe, expect, it } from 'vitest'
import { applyAction } from '../../../domain/actions.ts'
import { decideAction } from '../../../domain/decide_action.ts'
import {
  extensionRetryMs,
  refuseDisk,
  takeDisk,
  withDiskCovered,
  withExtension,
  withExtensionFailure,
  withSourceDisks,
} from '../../../domain/disk_changes.ts'
import { ConflictError, NotFoundError } from '../../../domain/errors.ts'
import { inventoryProblem } from '../../../domain/inventory.ts'
import type { SourceDisk, SourceServer } from '../../../domain/source_server.ts'
import { hasStagingArea } from '../../../domain/staging.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

const gib = 2 ** 30
const own: SourceDisk = {
  deviceName: '/dev/sda',
  sizeBytes: gib,
  stableId: 'serial-a',
  isBootDisk: true,
}
const added: SourceDisk = {
  deviceName: '/dev/sdb',
  sizeBytes: 2 * gib,
  stableId: 'serial-b',
  isBootDisk: false,
}
const ready = (): SourceServer => testServer('READY_FOR_TEST', 'CONTINUOUS')
const messages = (server: SourceServer): string[] => server.outbox.map(({ message }) => message)
const seeing = (server: SourceServer, ...disks: SourceDisk[]) => withSourceDisks(server, disks, later(10))

describe('a disk that appears', () => {
  it('is offered, once, and nothing of the others changes', () => {
    const offered = seeing(ready(), own, added)
    expect(offered.offeredDisks).toEqual([
      { deviceName: '/dev/sdb', stableId: 'serial-b', sizeBytes: 2 * gib, noticedAt: later(10) },
    ])
    expect(offered.disks).toEqual(ready().disks)
    expect(offered.activeTask).toBeUndefined()
    expect(messages(offered).at(-1)).toMatch(/Disk \/dev\/sdb .* has no copy until you take it/)
    const again = withSourceDisks(offered, [own, added], later(20))
    expect(messages(again)).toEqual(messages(offered))
    expect(again.offeredDisks).toEqual(offered.offeredDisks)
  })

  it('that the agent leaves out is not offered, and one that goes away is no longer', () => {
    const left = seeing(ready(), own, { ...added, excludedBecause: 'It is a USB disk' })
    expect(left.offeredDisks).toBeUndefined()
    expect(seeing(seeing(ready(), own, added), own).offeredDisks).toEqual([])
  })

  it('joins the others when it is taken, which go on meanwhile', () => {
    const taken = takeDisk(seeing(ready(), own, added), '/dev/sdb', later(11), 'ann')
    expect(taken.disks[1]).toMatchObject({ diskIndex: 1, deviceName: '/dev/sdb', isJoining: true })
    expect(taken.offeredDisks).toEqual([])
    expect(taken.activeTask?.kind).toBe('EXTEND')
    expect(hasStagingArea(taken)).toBe(true)
    expect(inventoryProblem(taken)).toBeUndefined()
    expect(decideAction({ ...taken, activeTask: undefined } as never, 'START_TEST')).toMatchObject({
      because: expect.stringContaining('/dev/sdb has no volume yet') as string,
    })
    const covered = withDiskCovered(taken, 1, { devicePath: '/volumes/2', sizeBytes: 2 * gib }, later(12))
    expect(covered.disks[1]).toMatchObject({ devicePath: '/volumes/2', sizeBytes: 2 * gib })
    expect(covered.disks[1]?.isJoining).toBeUndefined()
    expect(covered.disks[0]).toEqual(ready().disks[0])
    expect(withDiskCovered(covered, 1, { devicePath: '/x', sizeBytes: 1 }, later(13))).toBe(covered)
  })

  it('is remembered as refused, and may still be taken', () => {
    const refused = refuseDisk(seeing(ready(), own, added), '/dev/sdb', later(11), 'ann')
    expect(refused.offeredDisks?.[0]?.refusedBy).toBe('ann')
    expect(seeing(refused, own, added).offeredDisks?.[0]?.refusedBy).toBe('ann')
    expect(refuseDisk(refused, '/dev/sdb', later(12), 'bob')).toBe(refused)
    expect(takeDisk(refused, '/dev/sdb', later(12), 'bob').disks).toHaveLength(2)
  })

  it('is taken by itself where the policy says so, and not while a machine is launched', () => {
    const policy = { ...ready().replicationConfiguration, newDisks: 'TAKE' as const }
    const offered = seeing({ ...ready(), replicationConfiguration: policy }, own, added)
    const after = withExtension(offered, later(11))
    expect(after.disks[1]).toMatchObject({ deviceName: '/dev/sdb', isJoining: true })
    expect(after.activeTask?.kind).toBe('EXTEND')
    const launching = applyAction(offered, 'START_TEST', { at: later(11), actor: 'ann', jobId: testJobId })
    expect(withExtension(launching, later(12))).toBe(launching)
    expect(() => takeDisk(launching, '/dev/sdb', later(12), 'ann')).toThrow(ConflictError)
    const refused = refuseDisk(offered, '/dev/sdb', later(11), 'ann')
    expect(withExtension(refused, later(12))).toBe(refused)
  })

  it('that nobody offers cannot be taken', () => {
    expect(() => takeDisk(ready(), '/dev/sdb', later(1), 'ann')).toThrow(NotFoundError)
    expect(() => refuseDisk(ready(), '/dev/sda', later(1), 'ann')).toThrow(NotFoundError)
  })
})

describe('a disk that grows', () => {
  const grown = (sizeBytes = 2 * gib): SourceServer => seeing(ready(), { ...own, sizeBytes })

  it('waits for a larger volume, is replicated meanwhile, and cannot be launched until then', () => {
    const waiting = grown()
    expect(waiting.disks[0]).toMatchObject({ sizeBytes: gib, wantedSizeBytes: 2 * gib })
    expect(inventoryProblem(waiting)).toBeUndefined()
    expect(hasStagingArea(waiting)).toBe(true)
    expect(decideAction(waiting, 'START_TEST')).toMatchObject({
      because: expect.stringContaining('/dev/sda has grown') as string,
    })
    const working = withExtension(waiting, later(11))
    expect(working.activeTask?.kind).toBe('EXTEND')
    expect(withExtension(working, later(12))).toBe(working)
    const done = withDiskCovered(working, 0, { devicePath: '/volumes/1', sizeBytes: 2 * gib }, later(13))
    expect(done.disks[0]).toMatchObject({ sizeBytes: 2 * gib })
    expect(done.disks[0]?.wantedSizeBytes).toBeUndefined()
    const { activeTask: _over, ...free } = done
    expect(decideAction(free, 'START_TEST')).toEqual({ possible: true })
  })

  it('again while its volume grows goes on to the larger size', () => {
    const twice = seeing(grown(), { ...own, sizeBytes: 3 * gib })
    const half = withDiskCovered(twice, 0, { devicePath: '/volumes/1', sizeBytes: 2 * gib }, later(13))
    expect(half.disks[0]).toMatchObject({ sizeBytes: 2 * gib, wantedSizeBytes: 3 * gib })
  })

  it('says once why its volume cannot grow, and tries again later', () => {
    const failed = withExtensionFailure(grown(), 0, 'no space is left', later(20))
    expect(messages(failed).at(-1)).toMatch(/Cannot enlarge the volume of disk \/dev\/sda: no space is left/)
    expect(messages(withExtensionFailure(failed, 0, 'no space is left', later(30)))).toEqual(messages(failed))
    expect(withExtension(failed, later(21))).toBe(failed)
    expect(withExtension(failed, later(20 + extensionRetryMs / 1000)).activeTask?.kind).toBe('EXTEND')
    // The clock was set back.
    expect(withExtension(failed, later(-1000)).activeTask?.kind).toBe('EXTEND')
    expect(decideAction(failed, 'START_TEST')).toMatchObject({
      because: expect.stringContaining('no space is left') as string,
    })
  })

  it.each([
    ['is gone', []],
    ['has shrunk', [{ ...own, sizeBytes: gib / 2 }]],
  ] as [string, SourceDisk[]][])(
    'is left as it was known when it %s: the session that reads it says so',
    (_what, disks) => {
      const after = seeing(ready(), ...disks)
      expect(after.sourceProperties.disks).toEqual([own])
      expect(inventoryProblem(after)).toBeUndefined()
      expect(after.offeredDisks ?? []).toEqual([])
    },
  )
})
