/**
 * What starts a guest's kernel: read from the first bytes of its boot disk and from its files, and what a firmware that has never seen the
 * disk needs to find it.
 * @module
 */
import type { BootLoader, Change, Guest } from './types.ts'

/** Configuration files by which a boot loader is known, most telling first. */
export const bootLoaderFiles: readonly { path: string; loader: BootLoader }[] = [
  { path: '/boot/grub/grub.cfg', loader: 'grub2' },
  { path: '/boot/grub2/grub.cfg', loader: 'grub2' },
  { path: '/boot/extlinux/extlinux.conf', loader: 'extlinux' },
  { path: '/boot/syslinux/extlinux.conf', loader: 'extlinux' },
  { path: '/boot/syslinux/syslinux.cfg', loader: 'extlinux' },
  { path: '/boot/extlinux.conf', loader: 'extlinux' },
  { path: '/extlinux.conf', loader: 'extlinux' },
]

/** What the disk's own boot code says of itself; undefined when it says nothing known. */
export function loaderOfBootCode(
  bootSector: Buffer,
  partitionSectors: readonly Buffer[],
): BootLoader | undefined {
  const isGrub = (sector: Buffer): boolean => sector.subarray(0, 440).includes('GRUB')
  const isSyslinux = (sector: Buffer): boolean => /^(?:EXT|SYS)LINUX/.test(sector.toString('latin1', 3, 11))
  if (isGrub(bootSector)) return 'grub2'
  if (partitionSectors.some(isSyslinux)) return 'extlinux'
  // Behind a boot sector that starts the active partition, whatever is on it.
  return partitionSectors.some(isGrub) ? 'grub2' : undefined
}

/** How the machine must start: as the disk itself can, where it can do both as the target does. */
export function chooseFirmware(
  found: { bootCode: BootLoader | undefined; efi: { readonly loaders: readonly string[] } | undefined },
  offered: readonly ('BIOS' | 'UEFI')[],
): 'BIOS' | 'UEFI' {
  const possible: ('BIOS' | 'UEFI')[] = []
  if (found.efi !== undefined && found.efi.loaders.length > 0) possible.push('UEFI')
  if (found.bootCode !== undefined || possible.length === 0) possible.push('BIOS')
  const firmware = possible.find((one) => offered.includes(one))
  return firmware ?? possible[0] ?? 'BIOS'
}

/** The fallback boot loader: a firmware that has never seen this disk starts no other. */
export function planEfiFallback({ efi, firmware }: Guest): Change | undefined {
  const find = (name: string): string | undefined =>
    efi?.loaders.find((path) => path.toLowerCase().endsWith(name))
  if (efi === undefined || firmware !== 'UEFI' || find('/efi/boot/bootx64.efi') !== undefined)
    return undefined
  const grub = find('/grubx64.efi')
  const loader = find('/shimx64.efi') ?? grub
  if (loader === undefined) return undefined
  const folder = `${efi.mountPoint}/EFI/BOOT`
  const beside =
    loader === grub || grub === undefined
      ? []
      : [{ kind: 'copy' as const, path: grub, to: `${folder}/grubx64.efi` }]
  return {
    name: 'efi-fallback-loader',
    what: `Copies ${loader} to where any firmware looks`,
    because: "The boot entries of the source's firmware do not travel with its disks",
    operations: [{ kind: 'copy', path: loader, to: `${folder}/BOOTX64.EFI` }, ...beside],
  }
}
