import { describe, expect, it } from 'vitest'
import { planFstab } from '../../../conversion/linux/fstab.ts'
import { resolveSource } from '../../../conversion/linux/devices.ts'
import { withArrayNames } from '../../../conversion/linux/raid.ts'
import type { FileSystem } from '../../../conversion/types.ts'
import { debianGuest, fileSystem } from '../../fixtures/guests_described.ts'

const uuids = {
  boot: 'fdc1ba1b:ab30903d:18b200f8:747fac7e',
  data: '0ca1af5d:c02a962e:72ee8990:c315bb0f',
}
/** As the appliance has them: the first is what it calls md127, whatever the guest does. */
const boot = fileSystem({
  device: '/dev/md127',
  type: 'ext4',
  array: { uuid: uuids.boot, name: 'shop:0' },
})
const data = fileSystem({ device: '/dev/md126', type: 'xfs', array: { uuid: uuids.data, name: 'shop:data' } })

/** The appliance's device that the guest means. */
function meant(source: string, configuration = '', fileSystems: FileSystem[] = [boot, data]) {
  const named = withArrayNames(fileSystems, configuration)
  return resolveSource({ fileSystems: named, sourceDeviceNames: ['/dev/sda', '/dev/sdb'] }, source)?.device
}

describe('withArrayNames()', () => {
  it.each([
    ['/dev/md0', '/dev/md127'],
    ['/dev/md/0', '/dev/md127'],
    ['/dev/md/shop:0', '/dev/md127'],
    ['/dev/md/data', '/dev/md126'],
    [`/dev/disk/by-id/md-uuid-${uuids.data}`, '/dev/md126'],
    ['/dev/disk/by-id/md-name-shop:data', '/dev/md126'],
    // That is the appliance's name, and the guest's for another array.
    ['/dev/md127', undefined],
    ['/dev/md1', undefined],
    ['/dev/md/other', undefined],
  ])('takes %s from what the arrays say of themselves', (source, device) => {
    expect(meant(source)).toBe(device)
  })

  it('goes by the configuration of mdadm before that', () => {
    const configuration = `# ARRAY /dev/md9 UUID=${uuids.boot}
HOMEHOST <system>
ARRAY /dev/md127 metadata=1.2
   name=shop:data UUID=${uuids.data.toUpperCase()}
array <ignore> UUID=${uuids.boot}
ARRAY /dev/md/0 level=raid1 num-devices=2 name=elsewhere:7 UUID=${uuids.data.replaceAll(':', '')} # both
ARRAY root name=shop:0
`
    expect(meant('/dev/md127', configuration)).toBe('/dev/md126')
    expect(meant('/dev/md0', configuration)).toBe('/dev/md126')
    expect(meant('/dev/md/root', configuration)).toBe('/dev/md127')
    expect(meant('/dev/md9', configuration)).toBeUndefined()
    expect(meant('/dev/md/data', configuration)).toBe('/dev/md126')
  })

  it('names partitions of arrays', () => {
    const parts = [
      { ...boot, device: '/dev/md127p1' },
      { ...data, device: '/dev/md126p12' },
    ]
    expect(meant('/dev/md0p1', '', parts)).toBe('/dev/md127p1')
    expect(meant('/dev/md/data12', '', parts)).toBe('/dev/md126p12')
    expect(meant('/dev/disk/by-id/md-name-shop:data-part12', '', parts)).toBe('/dev/md126p12')
    expect(meant('/dev/md5p1', `ARRAY /dev/md5 UUID=${uuids.boot}`, parts)).toBe('/dev/md127p1')
  })

  it('goes by the number where an array has no name', () => {
    const old = { ...boot, device: '/dev/md3', array: { uuid: uuids.boot, name: '' } }
    expect(meant('/dev/md3', '', [old])).toBe('/dev/md3')
    expect(meant('/dev/md/3', '', [old])).toBe('/dev/md3')
    expect(meant('/dev/md4', `ARRAY /dev/md4 UUID=${uuids.boot}`, [old])).toBe('/dev/md3')
  })

  it('leaves other file systems as they are', () => {
    const plain = [fileSystem({ device: '/dev/sda1', type: 'ext4' })]
    expect(withArrayNames(plain, 'ARRAY /dev/md0 name=shop:0')).toEqual(plain)
  })
})

describe('planFstab()', () => {
  it('leaves entries of arrays that are there as they are, whose names do not follow the hardware', () => {
    const warnings: string[] = []
    const text = '/dev/md0 /boot ext4 defaults 0 2\n/dev/md/data /srv xfs defaults 0 2\n'
    const guest = debianGuest({
      fileSystems: withArrayNames([boot, data], ''),
      files: [{ path: '/etc/fstab', text }],
    })
    expect(planFstab(guest, warnings)).toBeUndefined()
    expect(warnings).toEqual([])
  })
})
