/**
 * From what a guest is and what the target is to a list of named changes. Pure: a dry run shows exactly what would be done.
 * @module
 */
import { PermanentError } from '../domain/errors.ts'
import { planEfiFallback } from './bootloader.ts'
import { planAgentRemoval } from './linux/agent.ts'
import { planBootConfig } from './linux/boot_config.ts'
import { planCrypttab } from './linux/crypttab.ts'
import { planFstab } from './linux/fstab.ts'
import { planInitramfs } from './linux/initramfs.ts'
import { planNetwork, planPersistentNames } from './linux/network.ts'
import { planLabels } from './linux/selinux.ts'
import { planRunner } from './linux/runner.ts'
import { planSerialLogin } from './linux/serial_login.ts'
import type { Guest, Kernel, Plan, TargetHardware } from './types.ts'

/** What every conversion leaves alone. */
export const kept = ['machine-id', 'host name', 'SSH host keys', 'users and passwords']

/** Whether a kernel can be given all drivers that it needs to find its root file system. */
function canFindDisks({ initramfsPath, missingDrivers, absentDrivers }: Kernel): boolean {
  if (missingDrivers.length === 0) return true
  return initramfsPath !== undefined && missingDrivers.every((driver) => !absentDrivers.includes(driver))
}

/** Guests that no change makes boot. @throws PermanentError with the verdict. */
function refuseHopeless(guest: Guest, target: TargetHardware): void {
  if (guest.bootLoader === 'unknown') {
    const why = guest.warnings.map((warning) => `. ${warning}`).join('')
    throw new PermanentError(
      `Found ${guest.productName} but no boot loader that Rehost knows (GRUB 2 or extlinux): is /boot on one of the replicated disks?${why}`,
    )
  }
  if (!target.firmwares.includes(guest.firmware)) {
    throw new PermanentError(
      `${guest.productName} starts by ${guest.firmware} and the target offers ${target.firmwares.join(', ')} only: install firmware for ${guest.firmware} there (Debian, Ubuntu: ovmf), or choose another target`,
    )
  }
  if (guest.kernels.length === 0) {
    throw new PermanentError(
      `Found ${guest.productName} but no kernel in /boot with modules in /lib/modules: it cannot start on its own`,
    )
  }
  if (!guest.kernels.some(canFindDisks)) {
    throw new PermanentError(
      `No kernel of ${guest.productName} (${guest.kernels.map(({ version }) => version).join(', ')}) has the target's disk drivers (${target.diskDrivers.join(', ')}): install a kernel of the distribution on the source`,
    )
  }
}

/**
 * The plan.
 * @throws PermanentError with a verdict for a guest that cannot be made to boot; nothing has been written then.
 */
export function plan(guest: Guest, target: TargetHardware): Plan {
  refuseHopeless(guest, target)
  const warnings = [...guest.warnings]
  const changes = [
    planFstab(guest, warnings),
    planCrypttab(guest, warnings),
    planBootConfig(guest, target),
    planEfiFallback(guest),
    planInitramfs(guest, warnings),
    planNetwork(guest, warnings),
    planPersistentNames(guest),
    planSerialLogin(guest, target, warnings),
    planAgentRemoval(guest),
  ].filter((change) => change !== undefined)
  const runner = planRunner(guest, target, changes, warnings)
  if (runner !== undefined) changes.push(runner)
  const labels = planLabels(guest, changes)
  return { changes: labels === undefined ? changes : [...changes, labels], warnings }
}
