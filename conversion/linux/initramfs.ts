/**
 * Drivers for the target's disks in the initial RAM disk, where they are missing.
 * @module
 */
import type { Change, Guest, Operation } from '../types.ts'

/** Commands that make initial RAM disks, by the tool the distribution has. */
function rebuild(guest: Guest, version: string, initramfsPath: string, drivers: readonly string[]): Operation[] {
  const isDracut = initramfsPath.includes('initramfs-')
  if (isDracut) {
    return [{ kind: 'run', command: `dracut --force --add-drivers '${drivers.join(' ')}' ${initramfsPath} ${version}` }]
  }
  const modules = guest.files.find(({ path }) => path === '/etc/initramfs-tools/modules')?.text ?? ''
  return [
    { kind: 'write', path: '/etc/initramfs-tools/modules', text: `${modules.trimEnd()}\n${drivers.join('\n')}\n` },
    { kind: 'run', command: `update-initramfs -u -k ${version}` },
  ]
}

/** The changes: none where all drivers are there, which is the rule for distributions made for any hardware. */
export function planInitramfs(guest: Guest, warnings: string[]): Change[] {
  const changes: Change[] = []
  for (const { version, initramfsPath, missingDrivers } of guest.kernels) {
    if (missingDrivers === undefined) {
      warnings.push(`Cannot read the initial RAM disk of kernel ${version}: whether it has the target's disk drivers is not known`)
      continue
    }
    if (missingDrivers.length === 0 || initramfsPath === undefined) continue
    // Versions and paths are names of files of the guest: only harmless ones may reach a command line.
    if (!/^[\w.+~-]+$/.test(version)) {
      warnings.push(`Kernel ${version} lacks ${missingDrivers.join(', ')} and has a name that no command should be given`)
      continue
    }
    changes.push({
      name: `initramfs-drivers-${version}`,
      what: `Rebuilds the initial RAM disk of kernel ${version} with ${missingDrivers.join(', ')}`,
      because: 'Without them the kernel cannot find its root file system on the target',
      operations: rebuild(guest, version, initramfsPath, missingDrivers),
    })
  }
  return changes
}
