/**
 * Drivers for the target's disks in the initial RAM disk, where they are missing. The modules are appended as a further archive, which
 * takes a second; making the initial RAM disk anew would run the guest's own programs, and take minutes without hardware virtualization.
 * @module
 */
import type { Change, Guest, Kernel, Operation } from '../types.ts'

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

function isToExtend(kernel: Kernel): kernel is Kernel & { initramfsPath: string; missingDrivers: string[] } {
  return (
    kernel.initramfsPath !== undefined &&
    kernel.missingDrivers !== undefined &&
    kernel.missingDrivers.length > 0
  )
}

/** The change: undefined where all drivers are there, which is the rule for distributions made for any hardware. */
export function planInitramfs(guest: Guest, warnings: string[]): Change | undefined {
  for (const { version, missingDrivers, absentDrivers } of guest.kernels) {
    if (missingDrivers === undefined) {
      warnings.push(
        `Cannot read the initial RAM disk of kernel ${version}: whether it has the target's disk drivers is not known`,
      )
    }
    if (absentDrivers.length > 0)
      warnings.push(`Kernel ${version} was made without ${absentDrivers.join(', ')}`)
  }
  const kernels = guest.kernels.filter(isToExtend).map((kernel) => ({
    ...kernel,
    drivers: kernel.missingDrivers.filter((driver) => !kernel.absentDrivers.includes(driver)),
  }))
  const extended = kernels.filter(({ drivers }) => drivers.length > 0)
  if (extended.length === 0) return undefined
  const drivers = [...new Set(extended.flatMap((kernel) => kernel.drivers))]
  return {
    name: 'initramfs-drivers',
    what: `Adds ${drivers.join(', ')} to the initial RAM disk of ${extended.map(({ version }) => version).join(', ')}`,
    because: 'Without them the kernel cannot find its root file system on the target',
    operations: [
      ...extended.map((kernel) => ({
        kind: 'extendInitramfs' as const,
        path: kernel.initramfsPath,
        kernelVersion: kernel.version,
        drivers: kernel.drivers,
      })),
      lasting(guest, drivers),
    ],
  }
}
