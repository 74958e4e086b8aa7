/**
 * The kernels of a guest, and whether each can reach the target's disks.
 * @module
 */
import type { Appliance } from './appliance.ts'
import { appendedPaths, initramfsPaths, UnreadableInitramfsError } from './cpio.ts'
import { isInModulesDep } from './linux/initramfs_archive.ts'
import type { Kernel, TargetHardware } from './types.ts'

/** Kernel modules are files named after them, with `-` and `_` as the same, perhaps packed. */
function hasModule(paths: readonly string[], driver: string): boolean {
  const pattern = new RegExp(`(^|/)${driver.replaceAll(/[_-]/g, '[_-]')}\\.ko(\\.[a-z0-9]+)?$`)
  return paths.some((path) => pattern.test(path))
}

/** Paths in an initial RAM disk; of one packed in a way that can't be read here, only what conversion itself appended. */
function readPaths(bytes: Buffer): { paths: string[]; isReadable: boolean } {
  try {
    return { paths: initramfsPaths(bytes), isReadable: true }
  } catch (error) {
    if (!(error instanceof UnreadableInitramfsError)) throw error
    return { paths: appendedPaths(bytes), isReadable: false }
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
    const forDisks = asModules(target.diskDrivers)
    const { paths, isReadable } =
      initramfsPath === undefined || forDisks.length === 0
        ? { paths: [], isReadable: true }
        : readPaths(await appliance.download(initramfsPath))
    const wanted = [...forDisks, ...asModules(target.networkDrivers)]
    kernels.push({
      version,
      isInitramfsReadable: isReadable,
      missingDrivers: forDisks.filter((driver) => !hasModule(paths, driver)),
      absentDrivers: wanted.filter((driver) => !isInModulesDep(modulesDep, driver)),
      ...(initramfsPath === undefined ? {} : { initramfsPath }),
    })
  }
  return kernels
}
