/**
 * Kernel command lines in boot loader configuration: root file system by UUID, and a serial console beside the screen.
 * @module
 */
import type { Change, Guest, GuestFile, TargetHardware } from '../types.ts'
import { resolveSource, unstableDevice } from './devices.ts'
import { interfaceNameParameters } from './network.ts'

/** Lines that carry a kernel command line, in each kind of file: what comes before it, and it. */
const commandLines = {
  grub: /^([ \t]*linux(?:16|efi)?[ \t]+\S+)((?:[ \t][^\n]*)?)$/gm,
  entry: /^([ \t]*options)((?:[ \t][^\n]*)?)$/gm,
  syslinux: /^([ \t]*append)((?:[ \t][^\n]*)?)$/gim,
}
const grubDefaults = '/etc/default/grub'
/** The variable from which GRUB's configuration is made again at the next kernel upgrade, where its value can be taken apart. */
const grubVariable =
  /^([ \t]*GRUB_CMDLINE_LINUX=)(?:"([^"$`\\\n]*)"|'([^'\n]*)'|([^\s"'$`\\#]*))(?=[ \t]*(?:#.*)?$)/m
const kernelInstallCommandLine = '/etc/kernel/cmdline'
const grubEnvironment = '/boot/grub2/grubenv'
/** GRUB writes into this file and not into its file system, so its size is fixed. */
const grubEnvironmentBytes = 1024
/** The command line that boot entries share by naming this variable, as RHEL 8 has it. */
const sharedCommandLine = /^(kernelopts=)(.*)$/m

/** The pattern for a file that a boot loader reads; undefined for other files. */
function commandLinesOf({ path }: GuestFile): RegExp | undefined {
  if (path.endsWith('/grub.cfg')) return commandLines.grub
  if (/(?:extlinux|syslinux)\.(?:conf|cfg)$/.test(path)) return commandLines.syslinux
  return /\/loader\/entries\/[^/]+\.conf$/.test(path) ? commandLines.entry : undefined
}

/** `root=` and `resume=` by what stays the same on any hardware. */
function withStableDevices(guest: Guest, text: string): string {
  return text.replaceAll(/\b(root|resume)=(\/dev\/[^\s"']+)/g, (whole, parameter: string, device: string) => {
    if (!unstableDevice.test(device)) return whole
    const isRoot = parameter === 'root'
    const root = guest.fileSystems.find((own) => own.device === guest.rootDevice)
    const found = isRoot ? root : resolveSource(guest, device)
    if (found === undefined) return whole
    // Only an initial RAM disk can look for a file system by its UUID; the kernel itself knows partitions' alone.
    const hasInitramfs = guest.kernels.some(({ initramfsPath }) => initramfsPath !== undefined)
    const name = hasInitramfs ? `UUID=${found.uuid}` : `PARTUUID=${found.partUuid}`
    return name.endsWith('=') ? whole : `${parameter}=${name}`
  })
}

/**
 * The parameters that must be there: the consoles, the serial one last, because it becomes `/dev/console` and boot messages reach it; and
 * `others`.
 */
function withParameters(commandLine: string, serialConsole: string, others: readonly string[]): string {
  const has = (parameter: string): boolean => commandLine.split(/\s+/).includes(parameter)
  const missing = others.filter((parameter) => !has(parameter))
  if (!new RegExp(`(?:^|\\s)console=${serialConsole}\\b`).test(commandLine)) {
    if (!/(?:^|\s)console=tty\d/.test(commandLine)) missing.push('console=tty0')
    missing.push(`console=${serialConsole},115200`)
  }
  return [commandLine.trimEnd(), ...missing].join(' ')
}

/** GRUB's own settings, which are a shell script. */
function withParametersInDefaults(text: string, complete: (commandLine: string) => string): string {
  const assignments = text.split('\n').filter((line) => /^[ \t]*GRUB_CMDLINE_LINUX=/.test(line))
  const match = grubVariable.exec(text)
  if (match === null || assignments.length > 1) {
    const all = assignments.join(' ').replaceAll(/["']/g, ' ')
    const added = complete(all).slice(all.trimEnd().length).trim()
    const value = assignments.length === 0 ? added : `$GRUB_CMDLINE_LINUX ${added}`
    return added === '' ? text : `${text.trimEnd()}\nGRUB_CMDLINE_LINUX="${value}"\n`
  }
  const [, head = '', double, single, bare = ''] = match
  const mark = single === undefined ? '"' : "'"
  return text.replace(grubVariable, () => `${head}${mark}${complete(double ?? single ?? bare).trim()}${mark}`)
}

function withParametersIn(file: GuestFile, text: string, complete: (commandLine: string) => string): string {
  const pattern = commandLinesOf(file)
  if (pattern !== undefined)
    return text.replaceAll(pattern, (_line, head: string, rest: string) => head + complete(rest))
  if (file.path === kernelInstallCommandLine) return `${complete(text.trim())}\n`
  if (file.path === grubEnvironment)
    return withFixedSize(
      text.replace(sharedCommandLine, (_line, head: string, rest: string) => head + complete(rest)),
      file.text,
    )
  return withParametersInDefaults(text, complete)
}

/** GRUB's environment filled up as it was; unchanged where the new text has no room. */
function withFixedSize(text: string, before: string): string {
  const content = text.replace(/#*$/, '')
  return content.length > grubEnvironmentBytes ? before : content.padEnd(grubEnvironmentBytes, '#')
}

function withStableDevicesIn(guest: Guest, file: GuestFile): string {
  const text = withStableDevices(guest, file.text)
  // With this setting the next update of GRUB's configuration would name the root by its device again.
  return file.path === grubDefaults
    ? text.replaceAll(/^(GRUB_DISABLE_(?:LINUX_UUID|UUID)=["']?true)/gm, '#$1')
    : text
}

/** Both changes in one, since both are about the same lines; undefined when the files are good as they are. */
export function planBootConfig(guest: Guest, { serialConsole }: TargetHardware): Change | undefined {
  const environment = guest.files.find(({ path }) => path === grubEnvironment)?.text ?? ''
  const isShared = sharedCommandLine.test(environment)
  const others = [grubDefaults, kernelInstallCommandLine, ...(isShared ? [grubEnvironment] : [])]
  const files = guest.files.filter((file) => commandLinesOf(file) !== undefined || others.includes(file.path))
  const parameters = interfaceNameParameters(guest)
  const rewritten = files.map((file) => {
    const stable = withStableDevicesIn(guest, file)
    const text = withParametersIn(file, stable, (commandLine) =>
      isShared && /\$kernelopts\b/.test(commandLine)
        ? commandLine
        : withParameters(commandLine, serialConsole, parameters),
    )
    return { file, text, isStabilized: stable !== file.text, isCompleted: text !== stable }
  })
  const changed = rewritten.filter(({ file, text }) => text !== file.text)
  if (changed.length === 0) return undefined
  const what = [
    ...(changed.some(({ isStabilized }) => isStabilized) ? ['root file system by UUID'] : []),
    ...(changed.some(({ isCompleted }) => isCompleted)
      ? [`serial console ${serialConsole} beside the screen`, ...parameters]
      : []),
  ]
  return {
    name: 'kernel-command-line',
    what: `Kernel command line: ${what.join(', ')}`,
    because:
      'Device names change with the disk controller, and the target reads the console over a serial line',
    operations: changed.map(({ file, text }) => ({ kind: 'write', path: file.path, text })),
  }
}
