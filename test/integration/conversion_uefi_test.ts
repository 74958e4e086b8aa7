import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ConversionReport } from '../../conversion/types.ts'
import { bootConverted } from '../fixtures/converted_machine.ts'
import {
  changeNames,
  conversionFolder,
  converted,
  manyMinutes,
  viewOf,
} from '../fixtures/guest_conversion.ts'
import { identity } from '../fixtures/guest_tree.ts'
import { uefiServer } from '../fixtures/guests.ts'
import { virtioTarget } from '../fixtures/guests_described.ts'

/** As `conversion_grub_test.ts`, in a file of its own: two are run at a time. */
const folder = conversionFolder()

describe('a Debian that starts by UEFI, on LVM', () => {
  const target = { ...virtioTarget, diskDrivers: ['nvme'] }
  let view: string
  let report: ConversionReport
  beforeAll(async () => {
    const image = join(folder(), 'uefi.raw')
    await uefiServer(image)
    view = await viewOf(image)
    report = await converted(folder(), view, '/dev/sda', target)
  }, manyMinutes)

  it('is recognized, with all its partitions', () => {
    expect(report.guest).toMatchObject({
      firmware: 'UEFI',
      bootLoader: 'grub2',
      networkStack: 'systemd-networkd',
      rootDevice: '/dev/shop/root',
      usesLvm: true,
      efi: { mountPoint: '/boot/efi', loaders: ['/boot/efi/EFI/debian/grubx64.efi'] },
      fileSystems: [
        { device: '/dev/sda1', type: 'vfat', mountPoint: '/boot/efi' },
        { device: '/dev/sda2', type: 'ext4', mountPoint: '/boot' },
        { device: '/dev/sda3', type: 'LVM2_member' },
        { device: '/dev/shop/root', type: 'ext4', mountPoint: '/' },
        { device: '/dev/shop/swap', type: 'swap' },
      ],
    })
    expect(changeNames(report)).toEqual([
      'fstab',
      'kernel-command-line',
      'efi-fallback-loader',
      'network-by-dhcp',
      'serial-login',
    ])
    expect(report.warnings).toEqual([
      'The source has fixed addresses (198.51.100.7); the launched machine gets its address by DHCP',
    ])
  })

  it(
    'starts from NVMe with firmware that has never seen it',
    async () => {
      const hardware = {
        firmware: 'UEFI' as const,
        disk: ['nvme,serial=test,addr=6'],
        networkCard: 'virtio-net-pci',
      }
      const guest = await bootConverted(view, hardware, manyMinutes)
      expect(guest.console).toContain(`${identity.hostname} login: `)
      expect(Object.fromEntries(guest.report)).toMatchObject({
        address: expect.stringMatching(/^10\.0\.2\.\d+\/24$/),
        root: '/dev/mapper/shop-root',
        mounts: expect.stringMatching(/^\/ \/boot \/boot\/efi\b/),
        agent: '',
      })
    },
    manyMinutes,
  )
})
