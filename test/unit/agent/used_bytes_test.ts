import { describe, expect, it } from 'vitest'
import { sharesUnder } from '../../../agent/inventory/block_shares.ts'
import { chooseDisks } from '../../../agent/inventory/disk_choice.ts'
import { readDisks } from '../../../agent/inventory/disks.ts'
import { readUsedBytes } from '../../../agent/inventory/used_bytes.ts'
import { sourcePropertiesSchema } from '../../../wire/control_api.ts'
import { oneDiskInventory } from '../../fixtures/source_server.ts'
import type { Tree } from './captured_trees.ts'
import { btrfs, debian, diskFiles, mapperFiles, partitionFiles, rhel, treeFiles } from './captured_trees.ts'

/** How full the disks are; `answers` by mount point, as blocks and free blocks of 4 KiB. Beside it, what was asked. */
async function read(tree: Tree, answers: Record<string, readonly [blocks: number, free: number] | Error>) {
  const files = treeFiles(tree)
  const asked: string[] = []
  const run = (program: string, args: readonly string[]): Promise<string> => {
    const mountPoint = args.at(-1) ?? ''
    asked.push(`${program} ${mountPoint}`)
    const answer = answers[mountPoint] ?? new Error(`No such file system: ${mountPoint}`)
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(`4096 ${answer.join(' ')}\n`)
  }
  const found = await readUsedBytes(
    files,
    run,
    await chooseDisks(files, await readDisks(files, undefined), {}),
  )
  return { found: Object.fromEntries(found), asked }
}

const block = 4096
const disk = (name: string, minor: number, more: Tree = {}): Tree =>
  diskFiles(name, `pci/${name}`, `8:${minor}`, 1_000_000, more)

describe('readUsedBytes()', () => {
  it('adds up the file systems of a disk, by their own figures', async () => {
    const tree = {
      ...debian,
      ...partitionFiles('vda', 'pci0000:00/0000:00:05.0/virtio2', 'vda2', '254:2'),
      '/proc/self/mountinfo': `28 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
29 28 254:2 / /my\\040data rw,relatime - xfs /dev/vda2 rw
30 28 254:2 /logs /var/log rw,relatime - xfs /dev/vda2 rw
31 28 0:21 / /proc rw - proc proc rw
`,
    }
    const { found, asked } = await read(tree, { '/': [1000, 300], '/my data': [500, 100] })
    expect(found).toEqual({ '/dev/vda': { usedBytes: 1100 * block, fileSystemBytes: 1500 * block } })
    // A bind mount shows the same one, which is asked once.
    expect(asked).toEqual(['stat /', 'stat /my data'])
  })

  it('looks a device up once, however many bind mounts show it', async () => {
    const pods = Array.from(
      { length: 1000 },
      (_, n) => `${100 + n} 28 254:1 /v/${n} /pods/${n} rw - ext4 /dev/vda1 rw`,
    )
    const tree = {
      ...debian,
      '/proc/self/mountinfo': ['28 1 254:1 / / rw - ext4 /dev/vda1 rw', ...pods].join('\n'),
    }
    const files = treeFiles(tree)
    const disks = await chooseDisks(files, await readDisks(files, undefined), {})
    const looked: string[] = []
    const realPath = (path: string) => {
      if (path.startsWith('/sys/dev/block/')) looked.push(path)
      return files.realPath(path)
    }
    const found = await readUsedBytes({ ...files, realPath }, () => Promise.resolve('4096 1000 300\n'), disks)
    expect(found.get('/dev/vda')).toEqual({ usedBytes: 700 * block, fileSystemBytes: 1000 * block })
    expect(looked).toEqual(['/sys/dev/block/254:1'])
  })

  it('goes through eighty thousand mounts without holding each against all others, which takes minutes', async () => {
    const pods = Array.from(
      { length: 80_000 },
      (_, n) => `${100 + n} 29 254:1 /v/${n} /pods/${n} rw - ext4 /dev/vda1 rw`,
    )
    const tree = {
      ...debian,
      '/proc/self/mountinfo': [
        ...pods,
        '28 1 254:1 / /srv rw - ext4 /dev/vda1 rw',
        // It hides them.
        '29 28 0:60 / /pods rw - tmpfs tmpfs rw',
      ].join('\n'),
    }
    const { found, asked } = await read(tree, { '/srv': [1000, 300] })
    expect(found).toEqual({ '/dev/vda': { usedBytes: 700 * block, fileSystemBytes: 1000 * block } })
    expect(asked).toEqual(['stat /srv'])
  })

  it('lays a volume over two disks on both by their sizes, and keeps to what a disk has', async () => {
    const { found, asked } = await read(rhel, {
      '/': [12_000, 6000],
      '/boot': [100, 50],
      '/boot/efi': [100, 90],
      '/var': [60_000_000, 59_000_000],
    })
    // The partition sda3 has no size in this tree, so that all of / is on sdb.
    expect(found['/dev/sda']).toEqual({ usedBytes: 60 * block, fileSystemBytes: 200 * block })
    expect(found['/dev/sdb']).toEqual({ usedBytes: 1_006_000 * block, fileSystemBytes: 419_430_400 * 512 })
    // Not the CD, which is not replicated.
    expect(asked).toEqual(['stat /', 'stat /boot', 'stat /boot/efi', 'stat /var'])
  })

  it('walks over no network or program, not even to a local disk', async () => {
    const tree = {
      ...disk('sda', 0),
      ...disk('sdb', 16),
      ...disk('sdc', 32),
      ...disk('sdd', 48),
      '/proc/self/mountinfo': `28 1 8:0 / / rw - ext4 /dev/sda rw
29 28 0:40 / /nfs rw - nfs4 filer:/export rw
30 29 8:16 / /nfs/local rw - ext4 /dev/sdb rw
31 28 0:41 / /home/me/cloud rw - fuse.sshfs me@host:/ rw
32 28 0:42 / /boot/efi rw - autofs systemd-1 rw
33 32 8:32 / /boot/efi rw - vfat /dev/sdc rw
34 28 8:48 / /mnt rw - ext4 /dev/sdd rw
35 28 0:43 / /mnt rw - cifs //filer/share rw
`,
    }
    const { found, asked } = await read(tree, { '/': [10, 5], '/boot/efi': [10, 4], '/mnt': [10, 1] })
    expect(asked).toEqual(['stat /', 'stat /boot/efi'])
    expect(Object.keys(found)).toEqual(['/dev/sda', '/dev/sdc'])
  })

  it('leaves out what does not answer, answers oddly, or lies on disks that nobody knows', async () => {
    const tree = {
      ...disk('sda', 0),
      ...disk('sdb', 16),
      '/proc/self/mountinfo': `28 1 8:0 / / rw - ext4 /dev/sda rw
29 28 8:16 / /data rw - ext4 /dev/sdb rw
30 28 8:99 / /gone rw - ext4 /dev/sdz rw
`,
    }
    const { found } = await read(tree, { '/': new Error('It hangs'), '/data': [10, 20] })
    expect(found).toEqual({})
    // btrfs over two disks may have one copy of its data or two.
    expect(await read(btrfs, { '/': [10, 5] })).toEqual({ found: {}, asked: [] })
  })

  it('knows a btrfs on one device, whose subvolumes are one file system', async () => {
    const { '/sys/fs/btrfs/1b2c/devices/vdb': _other, ...single } = btrfs
    const { found, asked } = await read(single, { '/': [10, 5], '/home': [10, 5] })
    expect(found).toEqual({ '/dev/vda': { usedBytes: 5 * block, fileSystemBytes: 10 * block } })
    expect(asked).toEqual(['stat /'])
  })
})

describe('sharesUnder()', () => {
  const raid = (level: string, members: string[]): Tree => ({
    ...Object.assign({}, ...members.map((name, index) => disk(name, index * 16))),
    ...diskFiles('md0', 'virtual', '9:0', 1_000_000, {
      'md/level': level,
      'md/raid_disks': `${members.length}`,
      ...Object.fromEntries(members.map((name) => [`slaves/${name}`, ''])),
    }),
    ...mapperFiles('dm-0', '253:0', 1_000_000, 'vg-root', 'LVM-xyz', ['md0']),
  })

  it.each([
    ['raid1', ['sda', 'sdb'], { sda: 1, sdb: 1 }],
    ['raid0', ['sda', 'sdb'], { sda: 0.5, sdb: 0.5 }],
    ['raid5', ['sda', 'sdb', 'sdc'], { sda: 0.5, sdb: 0.5, sdc: 0.5 }],
    ['raid6', ['sda', 'sdb', 'sdc', 'sdd'], { sda: 0.5, sdb: 0.5, sdc: 0.5, sdd: 0.5 }],
    ['raid10', ['sda', 'sdb', 'sdc', 'sdd'], { sda: 0.5, sdb: 0.5, sdc: 0.5, sdd: 0.5 }],
    ['container', ['sda', 'sdb'], undefined],
  ])('of %s under LVM over %j', async (level, members, shares) => {
    const found = await sharesUnder(treeFiles(raid(level, members)), 'dm-0')
    expect(found === undefined ? undefined : Object.fromEntries(found)).toEqual(shares)
  })

  it('does not tell mirrors of LVM, caches, and what goes round', async () => {
    const images = {
      ...disk('sda', 0),
      ...disk('sdb', 16),
      ...mapperFiles('dm-1', '253:1', 10, 'vg-root_rimage_0', 'LVM-1', ['sda']),
      ...mapperFiles('dm-2', '253:2', 10, 'vg-root_rimage_1', 'LVM-2', ['sdb']),
      ...mapperFiles('dm-0', '253:0', 10, 'vg-root', 'LVM-0', ['dm-1', 'dm-2']),
    }
    expect(await sharesUnder(treeFiles(images), 'dm-0')).toBeUndefined()
    const cache = {
      ...disk('sda', 0),
      ...disk('sdb', 16),
      ...diskFiles('bcache0', 'virtual', '251:0', 10, { 'slaves/sda': '', 'slaves/sdb': '' }),
    }
    expect(await sharesUnder(treeFiles(cache), 'bcache0')).toBeUndefined()
    const round = mapperFiles('dm-0', '253:0', 10, 'vg-root', 'LVM-0', ['dm-0'])
    expect(await sharesUnder(treeFiles(round), 'dm-0')).toBeUndefined()
    expect(await sharesUnder(treeFiles({}), 'sda')).toBeUndefined()
  })
})

describe('the usage of a disk on the wire', () => {
  const parse = (usage: unknown) => {
    const inventory = oneDiskInventory()
    const disks = inventory.disks.map((one) => ({ ...one, usage }))
    return sourcePropertiesSchema.parse({ ...inventory, disks }).disks[0]
  }

  it('is taken where it can be, and stops no agent where it cannot', () => {
    const usage = { usedBytes: 1, fileSystemBytes: 2 }
    expect(parse(usage)?.usage).toEqual(usage)
    for (const wrong of [null, 'full', {}, { ...usage, usedBytes: 3 }, { ...usage, usedBytes: -1 }])
      expect(parse(wrong)?.usage, JSON.stringify(wrong)).toBeUndefined()
    const plain = sourcePropertiesSchema.parse(oneDiskInventory()).disks[0]
    expect(Object.keys(plain ?? {})).not.toContain('usage')
  })
})
