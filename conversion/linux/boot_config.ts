/**
 * Kernel command lines in boot loader configuration: root file system by UUID, and a serial console beside the screen.
 * @module
 */
import type { Change, Guest, GuestFile, Operation, TargetHardware } from '../types.ts'
import { fileSystemOf, unstableDevice } from './devices.ts'

/** Lines that carry a kernel command line: GRUB's `linux`, a boot entry's `options`, extlinux's `append`. */
const commandLines = /^(\s*(?:linux(?:16|efi)?\s+\S+|options|append))([ \t].*)?$/gim
/** The variables from which GRUB's configuration is made again at the next kernel upgrade. */
const grubDefaults = /^(GRUB_CMDLINE_LINUX=)(["'])(.*)\2$/m

function rootByUuid(guest: Guest, text: string): string {
  return text.replaceAll(/\broot=(\/dev\/\S+)/g, (whole, device: string) => {
    const root = unstableDevice.test(device) ? fileSystemOf(guest, device, '/') : undefined
    return root === undefined || root.uuid === '' ? whole : `root=UUID=${root.uuid}`
  })
}

/** The consoles that must be there, the serial one last: it becomes `/dev/console`, so that boot messages reach it. */
function withConsoles(commandLine: string, serialConsole: string): string {
  if (new RegExp(`\\bconsole=${serialConsole}\\b`).test(commandLine)) return commandLine
  const screen = /\bconsole=tty\d/.test(commandLine) ? '' : ' console=tty0'
  return `${commandLine.trimEnd()}${screen} console=${serialConsole},115200`
}

function isBootConfig(file: GuestFile): boolean {
  return (
    file.path.endsWith('/grub.cfg') || file.path.endsWith('extlinux.conf') || file.path.startsWith('/boot/loader/entries/')
  )
}

/** Rewrites every boot loader file with `change`; only those that differ. */
function rewrite(guest: Guest, change: (file: GuestFile) => string): Operation[] {
  return guest.files
    .map((file) => ({ file, text: change(file) }))
    .filter(({ file, text }) => text !== file.text)
    .map(({ file, text }) => ({ kind: 'write', path: file.path, text }))
}

function consoleText(file: GuestFile, serialConsole: string): string {
  if (isBootConfig(file)) {
    return file.text.replaceAll(commandLines, (_line, head: string, rest = '') => head + withConsoles(String(rest), serialConsole))
  }
  if (file.path === '/etc/default/grub') {
    return file.text.replace(grubDefaults, (_line, head: string, quote: string, rest: string) => {
      return `${head}${quote}${withConsoles(rest, serialConsole).trimStart()}${quote}`
    })
  }
  return file.text
}

function rootText(guest: Guest, file: GuestFile): string {
  return isBootConfig(file) || file.path === '/etc/default/grub' ? rootByUuid(guest, file.text) : file.text
}

/** Both changes in one, since both are about the same lines; undefined when the files are good as they are. */
export function planBootConfig(guest: Guest, target: TargetHardware): Change[] {
  const byUuid = rewrite(guest, (file) => rootText(guest, file))
  const both = rewrite(guest, (file) => consoleText({ ...file, text: rootText(guest, file) }, target.serialConsole))
  const consoleOnly = rewrite(guest, (file) => consoleText(file, target.serialConsole))
  if (both.length === 0) return []
  const names = [
    ...(byUuid.length > 0 ? ['root file system by UUID'] : []),
    ...(consoleOnly.length > 0 ? [`serial console ${target.serialConsole}`] : []),
  ]
  return [
    {
      name: 'boot-configuration',
      what: `Kernel command line: ${names.join(', ')}`,
      because: 'Device names change with the disk controller, and the target reads the console over a serial line',
      operations: both,
    },
  ]
}
