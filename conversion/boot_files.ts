/**
 * Looks for what starts a guest: loaders on the EFI system partition, code in boot sectors, configuration.
 * @module
 */
import type { Appliance } from './appliance.ts'
import { bootLoaderFiles, loaderOfBootCode } from './bootloader.ts'
import type { BootLoader, DiskToConvert, EfiPartition, GuestFile } from './types.ts'

const efiMountPoints = ['/boot/efi', '/efi', '/boot']
const sectorBytes = 512

/** The EFI system partition, where it is mounted; undefined when there is none. */
export async function readEfi(appliance: Appliance): Promise<EfiPartition | undefined> {
  for (const mountPoint of efiMountPoints) {
    const folder = `${mountPoint}/EFI`
    if (!(await appliance.isFolder(folder))) continue
    const paths = (await appliance.lines('find', folder)).map(
      (path) => `${folder}/${path.replace(/^\//, '')}`,
    )
    return { mountPoint, loaders: paths.filter((path) => path.toLowerCase().endsWith('.efi')) }
  }
  return undefined
}

/** What the boot disk's own boot code says of itself, or that of a partition on it. */
export async function readBootCode(
  appliance: Appliance,
  disks: readonly DiskToConvert[],
  allPartitions: readonly string[],
): Promise<BootLoader | undefined> {
  const bootDisk = appliance.disks[disks.findIndex(({ isBootDisk }) => isBootDisk)] ?? appliance.disks[0]
  if (bootDisk === undefined) return undefined
  const partitions = allPartitions.filter((name) => name.replace(/\d+$/, '') === bootDisk)
  const sectors: Buffer[] = []
  for (const partition of partitions) sectors.push(await appliance.startOfDevice(partition, sectorBytes))
  return loaderOfBootCode(await appliance.startOfDevice(bootDisk, sectorBytes), sectors)
}

/** The boot loader: known only when it has configuration that can be changed. */
export function findBootLoader(
  firmware: 'BIOS' | 'UEFI',
  bootCode: BootLoader | undefined,
  files: readonly GuestFile[],
): BootLoader {
  const has = (loader: BootLoader): boolean =>
    files.some(({ path }) => bootLoaderFiles.some((own) => own.loader === loader && own.path === path)) ||
    (loader === 'grub2' && files.some(({ path }) => path.endsWith('/grub.cfg')))
  const expected = firmware === 'UEFI' ? 'grub2' : bootCode
  return expected !== undefined && has(expected) ? expected : 'unknown'
}
