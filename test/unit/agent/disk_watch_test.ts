import { describe, expect, it } from 'vitest'
import { glanceAtDisks } from '../../../agent/inventory/disk_glance.ts'
import type { PathFacts } from '../../../agent/inventory/system_files.ts'
import { treeFiles } from './captured_trees.ts'
import { DiskWatch } from '../../../agent/inventory/disk_watch.ts'
import { LineLog } from '../../../agent/log.ts'
import type { DiskUsage, SourceDisk } from '../../../domain/source_server.ts'
import { FakeClock } from './fake_clock.ts'

const disk = (deviceName: string, sizeBytes = 512): SourceDisk => ({
  deviceName,
  sizeBytes,
  stableId: deviceName,
  isBootDisk: false,
})

type Usage = (disks: readonly SourceDisk[]) => Promise<Map<string, DiskUsage>>

function makeWatch(looks: (SourceDisk[] | Error)[], usages: Usage[] = []) {
  const lines: string[] = []
  const clock = new FakeClock()
  const seen = { changes: 0, glances: 0, isSteady: false }
  const watch = new DiskWatch([disk('/dev/sda')], {
    look: () => {
      const found = looks.shift() ?? []
      return found instanceof Error ? Promise.reject(found) : Promise.resolve(found)
    },
    // Another one each time, unless a test wants it to stay.
    glance: () => Promise.resolve(seen.isSteady ? 'as before' : `glance ${(seen.glances += 1)}`),
    usage: (disks) => usages.shift()?.(disks) ?? Promise.resolve(new Map()),
    clock,
    log: new LineLog({ write: (line) => lines.push(line) }, () => 0),
    onChange: () => (seen.changes += 1),
  })
  return { watch, lines, clock, seen, changes: () => seen.changes }
}

describe('DiskWatch', () => {
  it('offers what appears, no longer what goes, and tells until the gateway knows', async () => {
    const both = [disk('/dev/sda'), disk('/dev/sdb')]
    const { watch, changes } = makeWatch([[disk('/dev/sda')], both, both, [disk('/dev/sda')]])
    await watch.look()
    expect({ untold: watch.untold, changes: changes() }).toEqual({ untold: undefined, changes: 0 })
    await watch.look()
    expect(watch.untold).toEqual(both)
    expect(watch.isOffered('/dev/sdb')).toBe(true)
    await watch.look()
    expect(changes()).toBe(1)
    watch.told(both)
    expect(watch.untold).toBeUndefined()
    await watch.look()
    expect(watch.isOffered('/dev/sdb')).toBe(false)
    expect(watch.untold).toEqual([disk('/dev/sda')])
  })

  it('writes of disks that are copied, not of those that are left out', async () => {
    const left = (sizeBytes: number) => ({
      ...disk('/dev/sr0', sizeBytes),
      excludedBecause: 'It is removable',
    })
    const own = disk('/dev/sda')
    const { watch, lines, changes } = makeWatch([
      [own, left(512)],
      [own, left(1024)],
      [disk('/dev/sda', 1024)],
    ])
    await watch.look()
    await watch.look()
    expect({ untold: watch.untold, changes: changes(), lines }).toEqual({
      untold: [own, left(1024)],
      changes: 2,
      lines: [],
    })
    await watch.look()
    expect(lines).toEqual([expect.stringContaining('have changed: /dev/sda (1024 bytes)')])
  })

  it('looks only where a glance shows another picture, a minute is over, or the look before failed', async () => {
    const sizes = [1024, 2048, 3072, 4096].map((bytes) => [disk('/dev/sda', bytes)])
    const { watch, clock, seen } = makeWatch([new Error('no /sys'), ...sizes])
    const sizeSeen = async () => {
      await watch.look()
      return watch.untold?.[0]?.sizeBytes
    }
    seen.isSteady = true
    expect(await sizeSeen()).toBeUndefined()
    expect([await sizeSeen(), await sizeSeen()]).toEqual([1024, 1024])
    clock.now += 59_999
    expect(await sizeSeen()).toBe(1024)
    clock.now += 1
    expect([await sizeSeen(), await sizeSeen()]).toEqual([2048, 2048])
    seen.isSteady = false
    expect([await sizeSeen(), await sizeSeen()]).toEqual([3072, 4096])
  })

  it('does not take an older answer for a newer one', async () => {
    const { watch } = makeWatch([[disk('/dev/sda', 1024)], [disk('/dev/sda', 2048)]])
    await watch.look()
    const first = watch.untold ?? []
    await watch.look()
    watch.told(first)
    expect(watch.untold).toEqual([disk('/dev/sda', 2048)])
  })

  it('offers nothing that is left out, and keeps what it knew when it cannot look', async () => {
    const out = { ...disk('/dev/sdb'), excludedBecause: 'It is a USB disk' }
    const { watch, lines } = makeWatch([[disk('/dev/sda'), out], new Error('no /sys'), new Error('no /sys')])
    await watch.look()
    expect(watch.isOffered('/dev/sdb')).toBe(false)
    await watch.look()
    await watch.look()
    expect(watch.isOffered('/dev/sda')).toBe(true)
    expect(lines.filter((line) => line.includes('no /sys'))).toHaveLength(1)
  })
})

describe('DiskWatch.askUsage()', () => {
  const usage = { usedBytes: 100, fileSystemBytes: 400 }
  const full: Usage = (disks) => Promise.resolve(new Map(disks.map(({ deviceName }) => [deviceName, usage])))
  const sda = { ...disk('/dev/sda'), usage }

  it('tells how full the disks are, once a day and when there are others', async () => {
    const fuller: Usage = () => Promise.resolve(new Map([['/dev/sda', { ...usage, usedBytes: 101 }]]))
    const both = [disk('/dev/sda'), disk('/dev/sdb')]
    const { watch, clock, changes } = makeWatch([both, both], [full, fuller, full])
    await watch.askUsage()
    expect(watch.untold).toEqual([sda])
    expect(changes()).toBe(1)
    watch.told([sda])
    clock.now += 24 * 3_600_000 - 1
    await watch.askUsage()
    expect(watch.untold).toBeUndefined()
    clock.now += 1
    await watch.askUsage()
    expect(watch.untold).toEqual([{ ...disk('/dev/sda'), usage: { ...usage, usedBytes: 101 } }])
    await watch.look()
    await watch.askUsage()
    expect(watch.untold).toEqual([sda, { ...disk('/dev/sdb'), usage }])
  })

  it('asks once while there is no answer, looks on meanwhile, and stands one that fails', async () => {
    let answered: (found: Map<string, DiskUsage>) => void = () => undefined
    const asked: string[] = []
    const hanging: Usage = () => {
      asked.push('asked')
      return new Promise((resolve) => (answered = resolve))
    }
    const failing: Usage = () => Promise.reject(new Error('no process'))
    const { watch, clock, lines } = makeWatch([[disk('/dev/sda', 1024)]], [hanging, failing])
    const first = watch.askUsage()
    clock.now += 25 * 3_600_000
    await watch.askUsage()
    await watch.look()
    expect(watch.untold).toEqual([disk('/dev/sda', 1024)])
    expect(asked).toEqual(['asked'])
    answered(new Map([['/dev/sda', usage]]))
    await first
    expect(watch.untold).toEqual([{ ...disk('/dev/sda', 1024), usage }])
    await watch.askUsage()
    expect(lines.filter((line) => line.includes('no process'))).toHaveLength(1)
    expect(watch.untold).toEqual([{ ...disk('/dev/sda', 1024), usage }])
  })
})

describe('glanceAtDisks()', () => {
  const before = {
    '/proc/partitions': '8 0 1000 sda',
    '/sys/block/sda/diskseq': '9',
    '/sys/block/sdb/diskseq': '10',
  }
  const facts: Record<string, PathFacts> = { '/img': { kind: 'file', sizeBytes: 512 } }
  const glance = (change: Record<string, string> = {}, own = facts) =>
    glanceAtDisks(treeFiles({ ...before, ...change }, own), ['/img'])

  it('shows another picture for each thing that can happen to a disk', async () => {
    const pictures = [
      await glance(),
      await glance({ '/proc/partitions': '8 0 2000 sda' }),
      await glance({ '/sys/block/sdb/diskseq': '11' }),
      await glance({ '/sys/block/sdc/diskseq': '11' }),
      await glance({}, { '/img': { kind: 'file', sizeBytes: 1024 } }),
      await glance({}, {}),
    ]
    expect(new Set(pictures).size).toBe(pictures.length)
    expect(await glance()).toBe(pictures[0])
  })
})
