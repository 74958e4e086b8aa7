/**
 * The kernels of a guest, and whether each can reach the target's disks.
 * @module
 */
import type { Appliance } from './appliance.ts'
import { initramfsPaths, UnreadableInitramfsError } from './cpio.ts'
import { isInModulesDep } from './linux/initramfs_archive.ts'
import type { Kernel, TargetHardware } from './types.ts'

/** Kernel modules are files named after them, with `-` and `_` as the same, perhaps packed. */
function hasModule(paths: readonly string[], driver: string): boolean {
  const pattern = new RegExp(`(^|/)${driver.replaceAll(/[_-]/g, '[_-]')}\\.ko(\\.[a-z0-9]+)?$`)
  return paths.some((path) => pattern.test(path))
}

/** Drivers that are not in the initial RAM disk; undefined when that can't be read. */
async function missingIn(
  appliance: Appliance,
  path: string | undefined,
  wanted: readonly string[],
): Promise<string[] | undefined> {
  if (path === undefined || wanted.length === 0) return [...wanted]
  try {
    const paths = initramfsPaths(await appliance.download(path))
    return wanted.filter((driver) => !hasModule(paths, driver))
  } catch (error) {
    if (error instanceof UnreadableInitramfsError) return undefined
    throw error
  }
}

/** Kernels in /boot whose modules are installed. */
export async function readKernels(appliance: Appliance, target: TargetHardware): Promise<Kernel[]> {
  if (!(await appliance.isFolder('/lib/modules')) || !(await appliance.isFolder('/boot'))) return []
  const bootFiles = await appliance.lines('ls', '/boot')
  const kernels: Kernel[] = []
  for (const version of await appliance.lines('ls', '/lib/modules')) {
    if (!bootFiles.includes(`vmlinuz-${version}`)) continue
    const initramfs = [`initrd.img-${version}`, `initramfs-${version}.img`, `initrd-${version}`].find(
      (name) => bootFiles.includes(name),
    )
    const initramfsPath = initramfs === undefined ? undefined : `/boot/${initramfs}`
    const builtIn = ((await appliance.text(`/lib/modules/${version}/modules.builtin`)) ?? '').split('\n')
    const modulesDep = (await appliance.text(`/lib/modules/${version}/modules.dep`)) ?? ''
    const asModules = (drivers: readonly string[]): string[] =>
      drivers.filter((driver) => !hasModule(builtIn, driver))
    const missing = await missingIn(appliance, initramfsPath, asModules(target.diskDrivers))
    const wanted = [...target.diskDrivers, ...target.networkDrivers]
    kernels.push({
      version,
      absentDrivers: asModules(wanted).filter((driver) => !isInModulesDep(modulesDep, driver)),
      ...(initramfsPath === undefined ? {} : { initramfsPath }),
      ...(missing === undefined ? {} : { missingDrivers: missing }),
    })
  }
  return kernels
}
