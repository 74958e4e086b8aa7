import { describe, expect, it } from 'vitest'
import { DiskSet } from '../../../agent/sync/disk_set.ts'
import { FakeClock } from './fake_clock.ts'
import { MemorySource, stillTracker } from './memory_disk.ts'

const sizeBytes = 65_536

/** An empty set, and the devices it has opened. */
function makeSet() {
  const opened: string[] = []
  const disks = new DiskSet({
    clock: new FakeClock(),
    openSource: (deviceName) => {
      opened.push(deviceName)
      return Promise.resolve(new MemorySource(deviceName, new Uint8Array(sizeBytes)))
    },
    chooseTracker: () => Promise.resolve(stillTracker),
    isOffered: () => true,
    note: () => undefined,
  })
  return { disks, opened }
}

const want = (diskIndex: number, deviceName: string) => ({
  diskIndex,
  deviceName,
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
})
