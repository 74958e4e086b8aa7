import { describe, expect, it } from 'vitest'
import { takeInventory } from '../../../agent/inventory.ts'
import { disksOfMount, parseMountInfo, readMounts } from '../../../agent/inventory/block_topology.ts'
import { fullyQualifiedName, osReleaseValue, parseCpus } from '../../../agent/inventory/machine.ts'
import type { PathFacts } from '../../../agent/inventory/system_files.ts'
import { deviceNumberOf } from '../../../agent/inventory/system_files.ts'
import { sourcePropertiesSchema } from '../../../wire/control_api.ts'
import type { Tree } from './captured_trees.ts'
import { btrfs, debian, ec2, manyDisks, multipath, rhel, treeFiles } from './captured_trees.ts'

const take = (tree: Tree, devices?: string[], facts: Record<string, PathFacts> = {}, skipMissing = false) =>
  takeInventory(
    {
      files: treeFiles(tree, facts),
      hostname: () => 'web-1',
      addresses: () => ({ eth0: [{ address: '10.0.0.5' } as never] }),
      nowMs: () => 0,
    },
    { ...(devices === undefined ? {} : { devices }), skipMissing },
  )
const taken = (disks: { deviceName: string; excludedBecause?: string }[]) =>
  disks.filter((disk) => disk.excludedBecause === undefined).map((disk) => disk.deviceName)
const reasons = (disks: { deviceName: string; excludedBecause?: string }[]) =>
  Object.fromEntries(
    disks
      .filter((disk) => disk.excludedBecause !== undefined)
      .map((disk) => [disk.deviceName, disk.excludedBecause]),
  )

describe('takeInventory()', () => {
  it('tells a Debian on KVM', async () => {
    const found = await take(debian)
    expect(sourcePropertiesSchema.safeParse(found).success).toBe(true)
    expect(found).toMatchObject({
      lastUpdatedAt: '1970-01-01T00:00:00.000Z',
      identificationHints: {
        hostname: 'web-1',
        fqdn: 'web-1.example.net',
        machineId: '0123456789abcdef0123456789abcdef',
      },
      os: { fullString: 'Debian GNU/Linux 12 (bookworm) (kernel 6.1.0-40-amd64)', family: 'linux' },
      cpus: [
        { cores: 1, modelName: 'AMD EPYC 7B13' },
        { cores: 1, modelName: 'AMD EPYC 7B13' },
      ],
      ramBytes: 2_030_520 * 1024,
      firmware: 'BIOS',
    })
    expect(found.networkInterfaces).toEqual([
      { name: 'eth0', macAddress: '52:54:00:12:34:56', ips: ['10.0.0.5'], isPrimary: true },
    ])
    expect(found.disks).toEqual([
      {
        deviceName: '/dev/vda',
        sizeBytes: 41_943_040 * 512,
        stableId: 'disk-of-web-1',
        attachmentId: 'unknown/folder 77',
        isBootDisk: true,
      },
    ])
  })

  it('tells what is written to the disks that are replicated, where the kernel tells it of all of them', async () => {
    const block = (deviceNumber: string): PathFacts => ({ kind: 'block', sizeBytes: 1e9, deviceNumber })
    const tree = {
      ...rhel,
      '/proc/uptime': '86400.25 170000.00',
      '/proc/diskstats': [
        '   8       0 sda 1 0 8 5 100 7 2000 9 0 5 14 0 0 0 0 0 0',
        '   8       1 sda1 1 0 8 5 90 7 1999 9 0 5 14 0 0 0 0 0 0',
        '   8      16 sdb 1 0 8 5 10 7 500 9 0 5 14 0 0 0 0 0 0',
        // One that is left out.
        '   8      32 sdc 1 0 8 5 10 7 70000 9 0 5 14 0 0 0 0 0 0',
      ].join('\n'),
    }
    const found = await take(tree, undefined, { '/dev/sda': block('8:0'), '/dev/sdb': block('8:16') })
    expect(taken(found.disks)).toEqual(['/dev/sda', '/dev/sdb'])
    expect(found.writes).toEqual({ seconds: 86_400.25, bytes: 2500 * 512 })
    expect(sourcePropertiesSchema.parse(found).writes).toEqual(found.writes)
    const partly = await take(tree, undefined, { '/dev/sda': block('8:0'), '/dev/sdb': block('8:99') })
    expect(partly).not.toHaveProperty('writes')
    expect(await take(rhel)).not.toHaveProperty('writes')
  })

  it('tells a RHEL on VMware, with LVM over two disks, and leaves out iSCSI and USB', async () => {
    const found = await take(rhel)
    expect(found.firmware).toBe('UEFI')
    expect(found.identificationHints.vmWareUuid).toBe('4c4c4544-0042-3510-8052-b4c04f564831')
    expect(found.cpus).toEqual([{ cores: 4, modelName: 'Intel(R) Xeon(R) Gold 6248' }])
    expect(taken(found.disks)).toEqual(['/dev/sda', '/dev/sdb'])
    expect(found.disks.find((disk) => disk.isBootDisk)?.deviceName).toBe('/dev/sda')
    expect(found.disks.find((disk) => disk.deviceName === '/dev/sdb')?.stableId).toBe('naa.6000c29a22222222')
    expect(reasons(found.disks)).toEqual({
      '/dev/sdc': 'It is an iSCSI disk, reached over the network',
      '/dev/sdd': 'It is a USB disk',
      '/dev/mapper/rhel-root': 'It is a device-mapper device; the disks under it are replicated',
      '/dev/mapper/rhel-var': 'It is a device-mapper device; the disks under it are replicated',
    })
  })

  it('tells an EC2 instance by what it says of itself', async () => {
    const found = await take(ec2)
    expect(found.identificationHints.awsInstanceId).toBe('i-0123456789abcdef0')
    expect(taken(found.disks)).toEqual(['/dev/nvme0n1'])
    expect(reasons(found.disks)).toEqual({
      '/dev/nvme1n1': 'It is an NVMe disk reached over tcp, not a local one',
    })
  })

  it('takes a multipath disk once, and boots from it', async () => {
    const found = await take(multipath)
    expect(taken(found.disks)).toEqual(['/dev/mapper/mpatha'])
    expect(found.disks.find((disk) => disk.isBootDisk)).toMatchObject({
      deviceName: '/dev/mapper/mpatha',
      stableId: 'mpath-3600a0b80',
    })
    expect(reasons(found.disks)['/dev/sda']).toBe(
      'It is a path of the multipath disk /dev/mapper/mpatha, which is replicated',
    )
  })

  it('takes at most 60 disks, the boot disk among them', async () => {
    const found = await take(manyDisks())
    expect(taken(found.disks)).toHaveLength(60)
    expect(taken(found.disks)).toContain('/dev/d69')
    expect(reasons(found.disks)['/dev/d59']).toContain('more than 60 disks')
  })

  it('takes exactly the devices named, and says so of the others', async () => {
    const found = await take(rhel, ['/dev/sdb'])
    expect(taken(found.disks)).toEqual(['/dev/sdb'])
    expect(reasons(found.disks)['/dev/sda']).toBe('It is not named in --devices')
    expect(found.disks.find((disk) => disk.isBootDisk)?.deviceName).toBe('/dev/sdb')
  })

  it('takes a device by any of its names, even one that is left out otherwise', async () => {
    const found = await take({ ...rhel, '/dev/disk/by-id/stick': '→ /dev/sdd' }, ['/dev/disk/by-id/stick'])
    expect(taken(found.disks)).toEqual(['/dev/sdd'])
  })

  it('takes a disk image that is named', async () => {
    const found = await take(debian, ['/srv/disk.img'], {
      '/srv/disk.img': { kind: 'file', sizeBytes: 1024 },
    })
    expect(found.disks.at(-1)).toEqual({
      deviceName: '/srv/disk.img',
      sizeBytes: 1024,
      stableId: '/srv/disk.img',
      isBootDisk: true,
    })
  })

  it('refuses what cannot be replicated, and says why', async () => {
    await expect(take(debian, ['/dev/vdz'])).rejects.toThrow(
      'Cannot find /dev/vdz, named in --devices; check the name (local disks: /dev/vda)',
    )
    await expect(take(debian, ['/a'], { '/a': { kind: 'other', sizeBytes: 0 } })).rejects.toThrow(
      'neither a block device nor a file',
    )
    await expect(take(debian, ['/a'], { '/a': { kind: 'file', sizeBytes: 0 } })).rejects.toThrow(
      'its size is 0 bytes',
    )
    await expect(take(debian, ['/a'], { '/a': { kind: 'file', sizeBytes: 1000 } })).rejects.toThrow(
      'truncate --size=%512 /a',
    )
    expect(taken((await take(debian, ['/dev/vdz'], {}, true)).disks)).toEqual([])
  })

  it('tells what it can of an empty machine', async () => {
    const found = await take({})
    expect(sourcePropertiesSchema.safeParse(found).success).toBe(true)
    expect(found).toMatchObject({ os: { fullString: 'Linux' }, firmware: 'UNKNOWN', disks: [] })
  })
})

describe('disksOfMount()', () => {
  it('finds every disk under a btrfs of several devices', async () => {
    const files = treeFiles(btrfs)
    const [root] = await readMounts(files)
    expect([...(root === undefined ? [] : await disksOfMount(files, root))]).toEqual(['vda', 'vdb'])
  })
})

describe('parseMountInfo()', () => {
  it('undoes escapes and leaves broken lines out', () => {
    const [mount, ...others] = parseMountInfo(
      '40 27 8:1 /a /mnt/my\\040disk\\134x ro,relatime shared:3 master:1 - ext4 /dev/sda1 rw\nbroken\n',
    )
    expect(mount).toEqual({
      deviceNumber: '8:1',
      mountPoint: String.raw`/mnt/my disk\x`,
      fileSystem: 'ext4',
      source: '/dev/sda1',
      isReadOnly: true,
    })
    expect(others).toEqual([])
  })
})

describe('small parsers', () => {
  it('deviceNumberOf() unpacks large numbers', () => {
    expect(deviceNumberOf(254 * 256 + 3)).toBe('254:3')
    expect(deviceNumberOf(259 * 256 + 0x10_0001 + 0xff)).toBe('260:256')
    expect(deviceNumberOf(0x12_3045_67)).toMatch(/^\d+:\d+$/)
  })

  it('parseCpus() counts processors where no socket is told', () => {
    expect(parseCpus('processor: 0\nmodel name: A\n\nprocessor: 1\nmodel name: A\n')).toEqual([
      { cores: 2, modelName: 'A' },
    ])
    expect(parseCpus('')).toEqual([])
  })

  it('osReleaseValue() takes quotes off', () => {
    expect(osReleaseValue('NAME=\'A B\'\nX="c\\"d"', 'NAME')).toBe('A B')
    expect(osReleaseValue('X="c\\"d"', 'X')).toBe('c"d')
    expect(osReleaseValue('', 'X')).toBeUndefined()
  })

  it('fullyQualifiedName() looks nothing up', () => {
    expect(fullyQualifiedName('a.b.c', '')).toBe('a.b.c')
    expect(fullyQualifiedName('a', '127.0.1.1 a.localdomain a # a.x\n')).toBe('a')
  })
})
