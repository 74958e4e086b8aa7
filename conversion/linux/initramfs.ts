/**
 * Drivers for the target's disks in the initial RAM disk, where they are missing. The modules are appended as a further archive, which
 * takes a second; making the initial RAM disk anew would run the guest's own programs, and take minutes without hardware virtualization.
 * @module
 */
import type { Change, Guest, Operation } from '../types.ts'

const initramfsToolsModules = '/etc/initramfs-tools/modules'
const dracutConfig = '/etc/dracut.conf.d/90-rehost.conf'

/** Settings by which the guest's own tools put the drivers into every initial RAM disk they make from now on. */
function lasting(guest: Guest, drivers: readonly string[]): Operation {
  const modules = guest.files.find(({ path }) => path === initramfsToolsModules)
  if (modules === undefined) {
    return { kind: 'write', path: dracutConfig, text: `add_drivers+=" ${drivers.join(' ')} "\n` }
  }
  const listed = modules.text.split('\n').map((line) => line.trim())
  const missing = drivers.filter((driver) => !listed.includes(driver))
  return {
    kind: 'write',
    path: initramfsToolsModules,
    text: [modules.text.trimEnd(), ...missing, ''].join('\n'),
  }
}

/** The change: undefined where all drivers are there, which is the rule for distributions made for any hardware. */
export function planInitramfs(guest: Guest, warnings: string[]): Change | undefined {
  const extended: { version: string; path: string; drivers: string[] }[] = []
  for (const {
    version,
    initramfsPath,
    isInitramfsReadable,
    missingDrivers,
    absentDrivers,
  } of guest.kernels) {
    const drivers = missingDrivers.filter((driver) => !absentDrivers.includes(driver))
    if (initramfsPath !== undefined && drivers.length > 0) {
      extended.push({ version, path: initramfsPath, drivers })
      if (!isInitramfsReadable)
        warnings.push(
          `Cannot read the initial RAM disk of kernel ${version}: it gets the drivers in any case`,
        )
    }
    if (absentDrivers.length > 0)
      warnings.push(`Kernel ${version} was made without ${absentDrivers.join(', ')}`)
  }
  if (extended.length === 0) return undefined
  const drivers = [...new Set(extended.flatMap(({ drivers: own }) => own))]
  return {
    name: 'initramfs-drivers',
    what: `Adds ${drivers.join(', ')} to the initial RAM disk of ${extended.map(({ version }) => version).join(', ')}`,
    because: 'Without them the kernel cannot find its root file system on the target',
    operations: [
      ...extended.map(({ version, path, drivers: own }) => ({
        kind: 'extendInitramfs' as const,
        path,
        kernelVersion: version,
        drivers: own,
      })),
      lasting(guest, drivers),
    ],
  }
}
