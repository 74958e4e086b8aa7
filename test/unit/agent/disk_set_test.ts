import { describe, expect, it } from 'vitest'
import { DiskGoneError, OtherDiskError } from '../../../agent/disk/block_source.ts'
import type { DiskIdentity } from '../../../agent/inventory/disk_identity.ts'
import { DiskSet } from '../../../agent/sync/disk_set.ts'
import { FakeClock } from './fake_clock.ts'
import { MemorySource, stillTracker } from './memory_disk.ts'

const sizeBytes = 65_536

/** An empty set, and the devices it has opened. */
function makeSet() {
  const opened: string[] = []
  const notes: string[] = []
  /** What stands at a name, where that is not a disk without a serial number; nothing where it is `undefined`. */
  const there = new Map<string, DiskIdentity | undefined>()
  const clock = new FakeClock()
  const disks = new DiskSet({
    clock,
    openSource: (deviceName) => {
      if (there.has(deviceName) && there.get(deviceName) === undefined)
        return Promise.reject(new DiskGoneError(deviceName, `Cannot open disk ${deviceName}`))
      opened.push(deviceName)
      const source = new MemorySource(deviceName, new Uint8Array(sizeBytes))
      source.identity = there.get(deviceName) ?? source.identity
      return Promise.resolve(source)
    },
    chooseTracker: () => Promise.resolve(stillTracker),
    isOffered: () => true,
    note: (_, message) => notes.push(message),
  })
  return { disks, opened, there, notes, clock }
}

const want = (diskIndex: number, deviceName: string) => ({
  diskIndex,
  deviceName,
  stableId: deviceName,
  volumeId: `vol-${diskIndex}`,
  sizeBytes,
})

describe('DiskSet', () => {
  it('opens what is missing and leaves what stays', async () => {
    const { disks, opened } = makeSet()
    await disks.apply([want(0, '/dev/vda')])
    const [first] = disks.all
    await disks.apply([want(0, '/dev/vda'), want(1, '/dev/vdb')])
    expect(opened).toEqual(['/dev/vda', '/dev/vdb'])
    expect(disks.all[0]).toBe(first)
    await disks.apply([want(0, '/dev/vdb'), want(1, '/dev/vda')])
    expect(disks.all.map((disk) => [disk.diskIndex, disk.deviceName])).toEqual([
      [0, '/dev/vdb'],
      [1, '/dev/vda'],
    ])
  })

  it('lets a disk grow with its volume, opened once, and says what is new of it alone', async () => {
    const { disks, opened } = makeSet()
    await disks.apply([want(0, '/dev/vda'), want(1, '/dev/vdb')])
    const [first, second] = disks.all
    for (const disk of disks.all) {
      disk.learnContents('PARTIAL', true, 0)
      if (disk.scan !== undefined) disk.scan.cursor = disk.blockCount
      disk.finishScan(1)
    }
    await expect(disks.apply([{ ...want(0, '/dev/vda'), sizeBytes: 4 * sizeBytes }])).rejects.toThrow(
      /has 65536 bytes, 196608 fewer/,
    )
    ;(first?.source as MemorySource | undefined)?.growTo(4 * sizeBytes)
    await disks.apply([{ ...want(0, '/dev/vda'), sizeBytes: 4 * sizeBytes }, want(1, '/dev/vdb')])
    expect(opened.filter((name) => name === '/dev/vda')).toHaveLength(1)
    expect(disks.all[0]).toBe(first)
    expect(first).toMatchObject({ sizeBytes: 4 * sizeBytes, blockCount: 4 })
    expect(first?.scan).toMatchObject({ mode: 'COMPARE', purpose: 'INITIAL', cursor: 1, isPartial: true })
    expect(second?.scan).toBeUndefined()
  })

  it('refuses to copy one device to two volumes', async () => {
    const { disks, opened } = makeSet()
    await expect(disks.apply([want(0, '/dev/vda'), want(1, '/dev/vda')])).rejects.toThrow(
      'Cannot copy /dev/vda as disk 0 and as disk 1',
    )
    expect(opened).toEqual([])
  })

  it('copies a new disk that has the name of one that is gone, and not that one', async () => {
    const { disks, there } = makeSet()
    there.set('/dev/vda', { stableId: 'serial-2' })
    await disks.apply([
      { ...want(0, '/dev/vda'), stableId: 'serial-1' },
      { ...want(1, '/dev/vda'), stableId: 'serial-2' },
    ])
    expect(disks.all.map(({ diskIndex }) => diskIndex)).toEqual([1])
    expect(disks.stopped.map(({ want: { diskIndex } }) => diskIndex)).toEqual([0])
  })
})

describe('a disk that is not there', () => {
  const named = { ...want(1, '/dev/vdb'), stableId: 'serial-1' }
  const nameless = { ...want(1, '/dev/vdb'), attachmentId: 'boot/9' }

  it.each([
    {
      who: 'has another serial number',
      disk: named,
      instead: { stableId: 'serial-2' },
      says: /serial-2.*serial-1/,
    },
    { who: 'has none any more', disk: named, instead: { stableId: '/dev/vdb' }, says: /serial-1/ },
    {
      who: 'was attached anew, and has none',
      disk: nameless,
      instead: { stableId: '/dev/vdb', attachmentId: 'boot/10' },
      says: /was detached, and nothing tells/,
    },
    {
      who: 'has none, and no count',
      disk: nameless,
      instead: { stableId: '/dev/vdb' },
      says: /nothing tells/,
    },
    { who: 'is gone', disk: named, instead: undefined, says: /Cannot open disk/ },
  ])(
    'as what has its name $who stops alone, and goes on when it is back',
    async ({ disk, instead, says }) => {
      const { disks, opened, there, notes, clock } = makeSet()
      there.set('/dev/vdb', instead)
      await disks.apply([want(0, '/dev/vda'), disk])
      expect(disks.all.map(({ diskIndex }) => diskIndex)).toEqual([0])
      expect(disks.stopped.map(({ error }) => error.message)).toEqual([expect.stringMatching(says)])
      expect(notes.filter((message) => says.test(message))).toHaveLength(1)
      await disks.apply([want(0, '/dev/vda'), disk])
      expect(notes.filter((message) => says.test(message))).toHaveLength(1)
      clock.now += 10_000
      await disks.check()
      expect(disks.hasReturned).toBe(false)
      there.set('/dev/vdb', { stableId: disk.stableId, attachmentId: 'boot/9' })
      clock.now += 10_000
      await disks.check()
      expect(disks.hasReturned).toBe(true)
      await disks.apply([want(0, '/dev/vda'), disk])
      expect(disks.all.map(({ diskIndex }) => diskIndex)).toEqual([0, 1])
      expect([disks.stopped, disks.hasReturned]).toEqual([[], false])
      expect(opened.filter((name) => name === '/dev/vda')).toHaveLength(1)
    },
  )

  it('and is the only one is an error, which says what to do', async () => {
    const { disks, there } = makeSet()
    there.set('/dev/vdb', { stableId: 'serial-2' })
    const refused = await disks.apply([named]).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(OtherDiskError)
    expect(refused).toMatchObject({ whatToDo: expect.stringContaining('Attach the disk') as string })
  })

  it('is closed when the gateway means another one by the same name', async () => {
    const { disks, there } = makeSet()
    there.set('/dev/vdb', { stableId: 'serial-1' })
    await disks.apply([want(0, '/dev/vda'), named])
    await disks.apply([want(0, '/dev/vda'), { ...named, stableId: 'serial-3' }])
    expect(disks.all.map(({ diskIndex }) => diskIndex)).toEqual([0])
    expect(disks.stopped[0]?.error.message).toContain('serial-3')
  })
})
