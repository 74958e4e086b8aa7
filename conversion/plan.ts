/**
 * From what a guest is and what the target is to a list of named changes. Pure: a dry run shows exactly what would be done.
 * @module
 */
import { PermanentError } from '../domain/errors.ts'
import { planBootConfig } from './linux/boot_config.ts'
import { planFstab } from './linux/fstab.ts'
import { planInitramfs } from './linux/initramfs.ts'
import { planNetwork, planPersistentNames } from './linux/network.ts'
import type { Change, Guest, Plan, TargetHardware } from './types.ts'

/** What every conversion leaves alone. */
export const kept = ['machine-id', 'host name', 'SSH host keys', 'users and passwords']

/** Guests that no change makes boot. @throws PermanentError with the verdict. */
function refuseHopeless(guest: Guest, target: TargetHardware): void {
  if (guest.bootLoader === 'unknown') {
    throw new PermanentError(
      `Found ${guest.productName} but no boot loader that Rehost knows (GRUB 2 or extlinux): is /boot among the replicated disks?`,
    )
  }
  if (guest.kernels.length === 0) {
    throw new PermanentError(`Found ${guest.productName} but no kernel in /boot with modules in /lib/modules: it cannot start on its own`)
  }
  const hopeless = guest.kernels.every(
    ({ initramfsPath, missingDrivers }) => initramfsPath === undefined && missingDrivers !== undefined && missingDrivers.length > 0,
  )
  if (hopeless) {
    throw new PermanentError(
      `No kernel of ${guest.productName} has the target's disk drivers (${target.diskDrivers.join(', ')}) built in, and none has an initial RAM disk`,
    )
  }
}

function planAgentRemoval(guest: Guest): Change | undefined {
  if (guest.agentPaths.length === 0) return undefined
  return {
    name: 'agent-removed',
    what: 'Removes the replication agent',
    because: 'The launched machine must not replicate itself',
    operations: guest.agentPaths.map((path) => ({ kind: 'remove', path })),
  }
}

/** The fallback boot loader: a firmware that has never seen this disk starts no other. */
function planEfiFallback(guest: Guest): Change | undefined {
  const { efi } = guest
  if (efi === undefined || efi.hasFallback) return undefined
  const find = (name: string): string | undefined => efi.loaders.find((path) => path.toLowerCase().endsWith(name))
  const loader = find('/shimx64.efi') ?? find('/grubx64.efi')
  if (loader === undefined) return undefined
  const grub = find('/grubx64.efi')
  const copies = loader === grub || grub === undefined ? [] : [{ kind: 'copy' as const, path: grub, to: '/boot/efi/EFI/BOOT/grubx64.efi' }]
  return {
    name: 'efi-fallback-loader',
    what: `Copies ${loader} to where any firmware looks`,
    because: "The boot entries of the source's firmware do not travel with its disks",
    operations: [{ kind: 'copy', path: loader, to: '/boot/efi/EFI/BOOT/BOOTX64.EFI' }, ...copies],
  }
}

/** New files have no labels; SELinux would refuse them, so it is told to label everything at the first start. */
function planRelabel(guest: Guest, changes: readonly Change[]): Change | undefined {
  const writes = changes.some(({ operations }) => operations.some(({ kind }) => kind !== 'remove'))
  if (!guest.hasSelinux || !writes) return undefined
  return {
    name: 'selinux-relabel',
    what: 'Labels all files at the first start',
    because: 'Files written here have no SELinux labels',
    operations: [{ kind: 'write', path: '/.autorelabel', text: '' }],
  }
}

/**
 * The plan.
 * @throws PermanentError with a verdict for a guest that cannot be made to boot; nothing has been written then.
 */
export function plan(guest: Guest, target: TargetHardware): Plan {
  refuseHopeless(guest, target)
  const warnings: string[] = []
  const candidates: (Change | undefined)[] = [
    planFstab(guest, warnings),
    ...planBootConfig(guest, target),
    planEfiFallback(guest),
    ...planInitramfs(guest, warnings),
    planNetwork(guest, warnings),
    planPersistentNames(guest),
    planAgentRemoval(guest),
  ]
  const changes = candidates.filter((change) => change !== undefined)
  const relabel = planRelabel(guest, changes)
  return { changes: relabel === undefined ? changes : [...changes, relabel], warnings }
}
