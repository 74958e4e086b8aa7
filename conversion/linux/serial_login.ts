/**
 * A login prompt on the serial console: what tells the target that the guest has started.
 * @module
 */
import type { Change, Guest, TargetHardware } from '../types.ts'

const inittab = '/etc/inittab'

/** The change, or undefined when there is such a prompt already. */
export function planSerialLogin(
  guest: Guest,
  { serialConsole }: TargetHardware,
  warnings: string[],
): Change | undefined {
  if (guest.hasSerialLogin) return undefined
  const change = {
    name: 'serial-login',
    what: `Login prompt on ${serialConsole}`,
    because: 'The target sees by it that the guest has started',
  }
  if (guest.initSystem === 'systemd') {
    const link = `/etc/systemd/system/getty.target.wants/serial-getty@${serialConsole}.service`
    return {
      ...change,
      operations: [{ kind: 'link', path: link, target: '/lib/systemd/system/serial-getty@.service' }],
    }
  }
  const table = guest.files.find(({ path }) => path === inittab)
  if (guest.initSystem === 'sysvinit' && table !== undefined) {
    const line = `S0:2345:respawn:/sbin/getty -L ${serialConsole} 115200 vt100\n`
    return {
      ...change,
      operations: [{ kind: 'write', path: inittab, text: `${table.text.trimEnd()}\n${line}` }],
    }
  }
  warnings.push(
    `The guest's init system is not known: whether there will be a login prompt on ${serialConsole} neither`,
  )
  return undefined
}
