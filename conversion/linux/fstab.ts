/**
 * `/etc/fstab` by UUID where it names devices by names that change with the hardware.
 * @module
 */
import type { Change, Guest } from '../types.ts'
import { fileSystemOf, unstableDevice } from './devices.ts'

const path = '/etc/fstab'

/** One line changed; the same line when there is nothing to change. */
function rewriteLine(guest: Guest, line: string, warnings: string[]): string {
  const match = /^(\s*)(\S+)(\s+)(\S+)(\s+)(\S+)(\s+)(\S+)(.*)$/.exec(line)
  if (match === null || line.trimStart().startsWith('#')) return line
  const [, indent = '', device = '', gap1 = '', mountPoint = '', gap2 = '', type = '', gap3 = '', options = '', rest = ''] = match
  if (!unstableDevice.test(device)) return line
  const found = fileSystemOf(guest, device, mountPoint)
  if (found !== undefined && found.uuid !== '') {
    return `${indent}UUID=${found.uuid}${gap1}${mountPoint}${gap2}${type}${gap3}${options}${rest}`
  }
  if (options.split(',').includes('nofail')) return line
  warnings.push(`${path} mounts ${device} at ${mountPoint}, which is on none of the replicated disks: the system starts without it`)
  return `${indent}${device}${gap1}${mountPoint}${gap2}${type}${gap3}${options},nofail${rest}`
}

/** The change, or undefined when the file is good as it is. Tells `warnings` of disks that are not there. */
export function planFstab(guest: Guest, warnings: string[]): Change | undefined {
  const file = guest.files.find((own) => own.path === path)
  if (file === undefined) return undefined
  const text = file.text
    .split('\n')
    .map((line) => rewriteLine(guest, line, warnings))
    .join('\n')
  if (text === file.text) return undefined
  return {
    name: 'fstab-by-uuid',
    what: 'Mounts file systems by UUID',
    because: 'Device names change with the disk controller',
    operations: [{ kind: 'write', path, text }],
  }
}
