import { describe, expect, it } from 'vitest'
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
    ['an unknown disk', '/dev/vdc1 /old ext4 defaults 0 2', '/dev/vdc1 /old ext4 defaults,nofail 0 2'],
    ['an unknown UUID', 'UUID=4711 /old ext4 defaults 0 2', 'UUID=4711 /old ext4 defaults,nofail 0 2'],
    ['an unknown swap area', '/dev/vdc2 none swap sw 0 0', '/dev/vdc2 none swap sw,nofail 0 0'],
    [
      'a type that is not what was found',
      '/dev/vdb1 /srv ext4 defaults 0 2',
      '/dev/vdb1 /srv ext4 defaults,nofail 0 2',
    ],
  ])('changes %s', (_name, before, after) => {
    expect(rewritten(before).line).toBe(after)
  })

  it.each([
    `UUID=${uuids.root} / ext4 defaults 0 1`,
    `UUID=${uuids.data.toUpperCase()} /srv xfs defaults 0 2`,
    'LABEL=data /srv xfs defaults 0 2',
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
      '/etc/fstab names /dev/vdc1 for /old, which was not found on the replicated disks: the guest starts without it',
    ])
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

  it('finds logical volumes by both of their names', () => {
    const fileSystems = [fileSystem({ device: '/dev/my-vg/home', type: 'ext4', uuid: 'h' })]
    for (const name of ['/dev/mapper/my--vg-home', '/dev/my-vg/home']) {
      expect(rewritten(`${name} /home ext4 defaults 0 2`, { fileSystems }).line).toBe(
        `${name} /home ext4 defaults 0 2`,
      )
    }
    expect(rewritten('/dev/mapper/my--vg-var /var ext4 defaults 0 2', { fileSystems }).line).toContain(
      'nofail',
    )
  })
})
