import { describe, expect, it } from 'vitest'
import { chooseFirmware, loaderOfBootCode } from '../../../conversion/bootloader.ts'
import { quoted } from '../../../conversion/guestfish.ts'

const sector = (text: string, at: number): Buffer => {
  const bytes = Buffer.alloc(512)
  bytes.write(text, at, 'latin1')
  return bytes
}

describe('loaderOfBootCode()', () => {
  it.each([
    ['GRUB in the first sector', sector('GRUB ', 0x180), [], 'grub2'],
    [
      'extlinux in a partition',
      sector('Missing operating system.', 200),
      [sector('', 0), sector('EXTLINUX', 3)],
      'extlinux',
    ],
    ['GRUB in a partition', sector('Missing operating system.', 200), [sector('GRUB ', 0x180)], 'grub2'],
    ['nothing', Buffer.alloc(512), [Buffer.alloc(512)], undefined],
    ['a name in the partition table', sector('GRUB', 446), [], undefined],
  ])('finds %s', (_name, bootSector, partitions, loader) => {
    expect(loaderOfBootCode(bootSector, partitions)).toBe(loader)
  })
})

describe('chooseFirmware()', () => {
  const efi = { mountPoint: '/boot/efi', loaders: ['/boot/efi/EFI/debian/grubx64.efi'] }
  it.each([
    ['what the disk can', { bootCode: 'grub2', efi: undefined }, ['BIOS', 'UEFI'], 'BIOS'],
    ['UEFI where there is no other boot code', { bootCode: undefined, efi }, ['BIOS', 'UEFI'], 'UEFI'],
    ['UEFI of a disk that can do both', { bootCode: 'grub2', efi }, ['BIOS', 'UEFI'], 'UEFI'],
    ['BIOS of a disk that can do both', { bootCode: 'grub2', efi }, ['BIOS'], 'BIOS'],
    ['what the disk needs, though it is not offered', { bootCode: undefined, efi }, ['BIOS'], 'UEFI'],
    [
      'BIOS for an empty EFI partition',
      { bootCode: undefined, efi: { ...efi, loaders: [] } },
      ['BIOS', 'UEFI'],
      'BIOS',
    ],
  ] as const)('chooses %s', (_name, found, offered, firmware) => {
    expect(chooseFirmware(found, offered)).toBe(firmware)
  })
})

describe('quoted()', () => {
  it('leaves nothing that guestfish could take for more than one argument', () => {
    expect(quoted('/etc/fstab')).toBe('"/etc/fstab"')
    expect(quoted('a"; sh "rm -rf /" | cat\n$x\\')).toBe(
      '"a\\x22\\x3b sh \\x22rm -rf /\\x22 \\x7c cat\\x0a\\x24x\\x5c"',
    )
    expect(quoted('caf\u00e9')).toBe('"caf\\xe9"')
  })

  it('refuses a zero byte', () => {
    expect(() => quoted('a\0b')).toThrow('zero byte')
  })
})
