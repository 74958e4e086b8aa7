import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ConversionReport } from '../../conversion/types.ts'
import { bootConverted } from '../fixtures/converted_machine.ts'
import { differingPaths, filesOfDisk } from '../fixtures/disk_files.ts'
import type { DiskFiles } from '../fixtures/disk_files.ts'
import { identity } from '../fixtures/guest_tree.ts'
import {
  changeNames,
  conversionFolder,
  converted,
  manyMinutes,
  viewOf,
} from '../fixtures/guest_conversion.ts'
import { grubServer } from '../fixtures/guests.ts'
import { virtioTarget } from '../fixtures/guests_described.ts'

/**
 * Real guests through the real appliance, and then through QEMU on hardware that the source did not have.
 */
const folder = conversionFolder()

/** Whether the ext4 file system of the first partition was not cleanly left. */
async function hasOpenJournal(image: string): Promise<boolean> {
  const file = await open(image)
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 1024 ** 2 + 1024 + 0x60)
  await file.close()
  return (buffer.readUInt32LE(0) & 4) !== 0
}

describe('a Debian with GRUB, as a running server leaves it', () => {
  const target = {
    ...virtioTarget,
    diskDrivers: ['virtio_pci', 'virtio_scsi', 'sd_mod'],
    networkDrivers: ['vmxnet3'],
  }
  let view: string
  let report: ConversionReport
  let before: DiskFiles
  let after: DiskFiles
  beforeAll(async () => {
    const image = join(folder(), 'grub.raw')
    await grubServer(image)
    expect(await hasOpenJournal(image)).toBe(true)
    const { mtimeMs } = await stat(image)
    before = await filesOfDisk(image, 'raw')
    view = await viewOf(image)
    report = await converted(folder(), view, '/dev/vda', target)
    after = await filesOfDisk(view, 'qcow2')
    expect((await stat(image)).mtimeMs).toBe(mtimeMs)
  }, manyMinutes)

  it('is recognized', () => {
    expect(report.guest).toMatchObject({
      distribution: 'debian',
      version: '12',
      hostname: identity.hostname,
      architecture: 'x86_64',
      firmware: 'BIOS',
      bootLoader: 'grub2',
      initSystem: 'systemd',
      networkStack: 'ifupdown',
      rootDevice: '/dev/sda1',
      kernels: [{ missingDrivers: [], absentDrivers: [] }],
    })
    expect(report.warnings).toEqual([])
  })

  it('changes what it says and nothing else, and keeps what it had', () => {
    expect(changeNames(report)).toEqual(['fstab', 'kernel-command-line', 'network-by-dhcp', 'serial-login'])
    expect(differingPaths(before, after)).toEqual([
      '/boot/grub/grub.cfg',
      '/etc/fstab',
      '/etc/network/interfaces',
      '/etc/network/interfaces.before-rehost',
      '/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service',
    ])
    expect(after.get('/etc/network/interfaces.before-rehost')).toBe(before.get('/etc/network/interfaces'))
    expect(after.has('/srv/last')).toBe(true)
    expect(after.get(identity.hostKey)).toMatch(/^100600 0:0 /)
  })

  it(
    'starts from another kind of disk, with an address on another kind of network card',
    async () => {
      const hardware = {
        firmware: 'BIOS' as const,
        disk: ['virtio-scsi-pci,addr=6', 'scsi-hd'],
        networkCard: 'vmxnet3',
      }
      const guest = await bootConverted(view, hardware, manyMinutes)
      expect(guest.console).toContain(`${identity.hostname} login: `)
      expect(Object.fromEntries(guest.report)).toMatchObject({
        hostname: identity.hostname,
        'machine-id': identity.machineId,
        address: expect.stringMatching(/^10\.0\.2\.\d+\/24$/),
        'network-driver': 'vmxnet3',
        root: '/dev/sda1',
        agent: '',
        'command-line': expect.stringMatching(/ root=UUID=[\da-f-]{36} .*console=ttyS0/),
      })
    },
    manyMinutes,
  )
})
