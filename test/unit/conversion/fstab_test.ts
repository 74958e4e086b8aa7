import { describe, expect, it } from 'vitest'
import { planCrypttab } from '../../../conversion/linux/crypttab.ts'
import { planFstab } from '../../../conversion/linux/fstab.ts'
import type { Guest } from '../../../conversion/types.ts'
import { debianGuest, fileSystem, uuids } from '../../fixtures/guests_described.ts'

/** What becomes of one line, and the warnings that it gives. */
function rewritten(line: string, own: Partial<Guest> = {}): { line: string; warnings: string[] } {
  const warnings: string[] = []
  const guest = debianGuest({ ...own, files: [{ path: '/etc/fstab', text: `${line}\n` }] })
  const operation = planFstab(guest, warnings)?.operations[0]
  const text = operation?.kind === 'write' ? operation.text : `${line}\n`
  return { line: text.slice(0, -1), warnings }
}

/** What is added to the options of a file system that was not found. */
const optional = 'nofail,x-systemd.before=local-fs.target,x-systemd.device-timeout=30s'

describe('planFstab()', () => {
  it.each([
    ['the root', '/dev/vda1 / ext4 errors=remount-ro 0 1', `UUID=${uuids.root} / ext4 errors=remount-ro 0 1`],
    ['another disk', '/dev/vdb1\t/srv\txfs\tdefaults\t0\t2', `UUID=${uuids.data}\t/srv\txfs\tdefaults\t0\t2`],
    ['a line without options', '/dev/vdb1 /srv xfs', `UUID=${uuids.data} /srv xfs defaults`],
    [
      'a line with a comment behind it',
      '/dev/vda1 / ext4 ro 0 1 # root',
      `UUID=${uuids.root} / ext4 ro 0 1 # root`,
    ],
    [
      'a root by a path of its controller',
      '/dev/disk/by-path/pci-1-part1 / ext4 ro 0 1',
      `UUID=${uuids.root} / ext4 ro 0 1`,
    ],
    [
      'a root whose name is that of another disk here',
      '/dev/vdb1 / ext4 defaults 0 1',
      `UUID=${uuids.root} / ext4 defaults 0 1`,
    ],
    [
      'a partition by its disk, where only one can be meant',
      '/dev/disk/by-id/scsi-360a98000-part1 /srv xfs defaults 0 2',
      `UUID=${uuids.data} /srv xfs defaults 0 2`,
    ],
    [
      'a partition of a disk on the network',
      '/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.x-lun-1-part1 /srv xfs _netdev 0 0',
      '/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.x-lun-1-part1 /srv xfs _netdev,nofail,x-systemd.before=remote-fs.target,x-systemd.device-timeout=30s 0 0',
    ],
    [
      'a line that ends as on Windows',
      '/dev/vdb1 /srv xfs defaults 0 2\r',
      `UUID=${uuids.data} /srv xfs defaults 0 2\r`,
    ],
    ['an unknown disk', '/dev/vdc1 /old ext4 defaults 0 2', `/dev/vdc1 /old ext4 defaults,${optional} 0 2`],
    ['an unknown UUID', 'UUID=4711 /old ext4 defaults 0 2', `UUID=4711 /old ext4 defaults,${optional} 0 2`],
    [
      'an unknown disk for which the guest has a timeout of its own',
      '/dev/vdc1 /old ext4 rw,x-systemd.device-timeout=5 0 2',
      '/dev/vdc1 /old ext4 rw,x-systemd.device-timeout=5,nofail,x-systemd.before=local-fs.target 0 2',
    ],
    ['an unknown swap area', '/dev/vdc2 none swap sw 0 0', '/dev/vdc2 none swap sw,nofail 0 0'],
    [
      'a type that is not what was found',
      '/dev/vdb1 /srv ext4 defaults 0 2',
      `/dev/vdb1 /srv ext4 defaults,${optional} 0 2`,
    ],
  ])('changes %s', (_name, before, after) => {
    expect(rewritten(before).line).toBe(after)
  })

  it.each([
    `UUID=${uuids.root} / ext4 defaults 0 1`,
    `UUID=${uuids.data.toUpperCase()} /srv xfs defaults 0 2`,
    'LABEL=data /srv xfs defaults 0 2',
    'LABEL="data" /srv xfs defaults 0 2',
    `UUID='${uuids.data}' /srv xfs defaults 0 2`,
    '/dev/disk/by-label/data /srv xfs defaults 0 2',
    `/dev/disk/by-uuid/${uuids.data} /srv xfs defaults 0 2`,
    '/dev/disk/by-partuuid/8dbf5ab7-01 / ext4 defaults 0 1',
    '/dev/root / ext4 defaults 0 1',
    '# /dev/vda1 / ext4 defaults 0 1',
    '/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0',
    '/dev/vdc1 /old ext4 defaults,nofail 0 2',
    'tmpfs /tmp tmpfs defaults 0 0',
    'nas:/export /mnt nfs defaults 0 0',
    '/srv /mnt none bind 0 0',
    '',
    'nonsense',
  ])('leaves %j as it is', (line) => {
    expect(rewritten(line)).toEqual({ line, warnings: [] })
  })

  it('names what it could not find', () => {
    expect(rewritten('/dev/vdc1 /old ext4 defaults 0 2').warnings).toEqual([
      '/etc/fstab names /dev/vdc1 for /old, which was not found on the replicated disks: the guest starts without it, and whatever writes to /old then writes to the disk below it',
    ])
    expect(rewritten('/dev/vdc2 none swap sw 0 0').warnings).toEqual([
      '/etc/fstab names /dev/vdc2 for none, which was not found on the replicated disks: the guest starts without it',
    ])
  })

  it('says nothing of systemd to others', () => {
    expect(rewritten('/dev/vdc1 /old ext4 defaults 0 2', { initSystem: 'sysvinit' }).line).toBe(
      '/dev/vdc1 /old ext4 defaults,nofail 0 2',
    )
  })

  describe('in a guest that opens an encrypted disk', () => {
    const lukses = [fileSystem({ device: '/dev/sdb1', type: 'crypto_LUKS', uuid: uuids.data })]
    const besides = (crypttab: string, line: string, fileSystems = lukses) => {
      const warnings: string[] = []
      const files = [
        { path: '/etc/fstab', text: `${line}\n` },
        { path: '/etc/crypttab', text: `${crypttab}\n` },
      ]
      const operation = planFstab(debianGuest({ fileSystems, files }), warnings)?.operations[0]
      return { line: operation?.kind === 'write' ? operation.text.trimEnd() : line, warnings }
    }

    it.each(['/dev/mapper/data', 'UUID=4711', 'LABEL=db', '/dev/vg/db', '/dev/disk/by-uuid/4711'])(
      'leaves %s alone, which may be on it, and says so',
      (source) => {
        for (const disk of [`UUID=${uuids.data}`, '/dev/vdb1']) {
          const line = `${source} /var/lib/mysql ext4 defaults 0 2`
          const planned = besides(`data ${disk} /root/key luks`, line)
          expect(planned.line).toBe(line)
          expect(planned.warnings).toEqual([
            `/etc/fstab names ${source} for /var/lib/mysql, which was not found on the replicated disks and is taken to be on an encrypted one: without it the guest does not start`,
          ])
        }
      },
    )

    it.each(['/dev/vdc1', 'PARTUUID=4711', '/dev/disk/by-partlabel/db', '/dev/disk/by-path/pci-1-part1'])(
      'starts without %s, which cannot be on it',
      (source) => {
        const { line } = besides(`data UUID=${uuids.data} none`, `${source} /srv ext4 defaults 0 2`)
        expect(line).toBe(`${source} /srv ext4 defaults,${optional} 0 2`)
      },
    )

    it('starts without what may be on one that was not replicated', () => {
      const line = 'UUID=4711 /srv ext4 defaults 0 2'
      const expected = `UUID=4711 /srv ext4 defaults,${optional} 0 2`
      expect(besides('data UUID=0815 none', line).line).toBe(expected)
      expect(besides(`# data UUID=${uuids.data} none`, line).line).toBe(expected)
    })
  })

  it('goes by the names of the source, not by the order of the disks', () => {
    const sourceDeviceNames = ['/dev/nvme1n1', '/dev/nvme0n1']
    expect(rewritten('/dev/nvme0n1p1 /srv xfs defaults 0 2', { sourceDeviceNames }).line).toContain(
      uuids.data,
    )
    expect(rewritten('/dev/nvme1n1p1 /a ext4 defaults 0 2', { sourceDeviceNames }).line).toContain(uuids.root)
    expect(rewritten('/dev/nvme2n1p1 /b ext4 defaults 0 2', { sourceDeviceNames }).line).toContain('nofail')
  })

  it('goes by the order of the disks when the source did not tell their names', () => {
    const sourceDeviceNames = [undefined, undefined]
    expect(rewritten('/dev/xvdb1 /srv auto defaults 0 2', { sourceDeviceNames }).line).toContain(uuids.data)
    expect(rewritten('/dev/nvme0n1p1 / ext4 defaults 0 1', { sourceDeviceNames }).line).toContain(uuids.root)
  })

  it('reads what labels and partition names escape', () => {
    const fileSystems = [
      fileSystem({ device: '/dev/sdb1', type: 'ntfs', uuid: 'd', label: 'my data', partLabel: 'a/b' }),
    ]
    for (const source of [
      String.raw`LABEL=my\040data`,
      String.raw`/dev/disk/by-label/my\x20data`,
      String.raw`/dev/disk/by-partlabel/a\x2fb`,
    ]) {
      const line = `${source} /srv ntfs-3g defaults 0 0`
      expect(rewritten(line, { fileSystems })).toEqual({ line, warnings: [] })
    }
  })

  it('does not guess between two partitions that could be meant', () => {
    const fileSystems = ['/dev/sdb1', '/dev/sdc1'].map((device) =>
      fileSystem({ device, type: 'xfs', uuid: device }),
    )
    const line = '/dev/disk/by-path/pci-0000:00:05.0-part1 /srv xfs defaults 0 2'
    expect(rewritten(line, { fileSystems }).line).toContain('defaults,nofail')
    // The other one is meant by another line.
    const text = `/dev/sdb1 /a xfs defaults 0 2\n${line}`
    const sourceDeviceNames = ['/dev/sda', '/dev/sdb', '/dev/sdc']
    expect(rewritten(text, { fileSystems, sourceDeviceNames }).line).toBe(
      'UUID=/dev/sdb1 /a xfs defaults 0 2\nUUID=/dev/sdc1 /srv xfs defaults 0 2',
    )
  })

  it('finds logical volumes by both of their names', () => {
    const fileSystems = [fileSystem({ device: '/dev/my-vg/home', type: 'ext4', uuid: 'h' })]
    for (const name of [
      '/dev/mapper/my--vg-home',
      '/dev/my-vg/home',
      '/dev/disk/by-id/dm-name-my--vg-home',
    ]) {
      expect(rewritten(`${name} /home ext4 defaults 0 2`, { fileSystems }).line).toBe(
        `${name} /home ext4 defaults 0 2`,
      )
    }
    expect(rewritten('/dev/mapper/my--vg-var /var ext4 defaults 0 2', { fileSystems }).line).toContain(
      'nofail',
    )
  })
})

describe('planCrypttab()', () => {
  const planned = (line: string): { line: string; warnings: string[] } => {
    const warnings: string[] = []
    const fileSystems = [fileSystem({ device: '/dev/sdb1', type: 'crypto_LUKS', uuid: uuids.data })]
    const guest = debianGuest({ fileSystems, files: [{ path: '/etc/crypttab', text: `${line}\n` }] })
    const operation = planCrypttab(guest, warnings)?.operations[0]
    return { line: operation?.kind === 'write' ? operation.text.trimEnd() : line, warnings }
  }

  it('names encrypted disks by UUID', () => {
    expect(planned('data\t/dev/vdb1 /root/key luks').line).toBe(`data\tUUID=${uuids.data} /root/key luks`)
  })

  it.each([
    `data UUID=${uuids.data} none luks`,
    '# data /dev/vdb1 none',
    'data /dev/mapper/vg-data none',
    '',
  ])('leaves %j as it is', (line) => {
    expect(planned(line)).toEqual({ line, warnings: [] })
  })

  it('tells of what it cannot name', () => {
    expect(planned('swap /dev/vda3 /dev/urandom swap')).toEqual({
      line: 'swap /dev/vda3 /dev/urandom swap',
      warnings: [
        '/etc/crypttab names /dev/vda3 for swap, which has no UUID: it is left as it is and may not be there',
      ],
    })
  })
})
