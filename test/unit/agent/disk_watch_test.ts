import { describe, expect, it } from 'vitest'
import { DiskWatch } from '../../../agent/inventory/disk_watch.ts'
import { LineLog } from '../../../agent/log.ts'
import type { SourceDisk } from '../../../domain/source_server.ts'

const disk = (deviceName: string, sizeBytes = 512): SourceDisk => ({
  deviceName,
  sizeBytes,
  stableId: deviceName,
  isBootDisk: false,
})

function makeWatch(looks: (SourceDisk[] | Error)[]) {
  const lines: string[] = []
  let changes = 0
  const watch = new DiskWatch([disk('/dev/sda')], {
    look: () => {
      const found = looks.shift() ?? []
      return found instanceof Error ? Promise.reject(found) : Promise.resolve(found)
    },
    log: new LineLog({ write: (line) => lines.push(line) }, () => 0),
    onChange: () => (changes += 1),
  })
  return { watch, lines, changes: () => changes }
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
