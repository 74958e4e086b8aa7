/**
 * `/etc/crypttab`: encrypted disks beside the root by UUID, where it names devices by names that change with the hardware.
 * @module
 */
import type { Change, Guest } from '../types.ts'
import { resolveSource, unstableDevice } from './devices.ts'

const path = '/etc/crypttab'

/** The name with what is around it, the device, and the rest. */
const entryPattern = /^(\s*[^\s#]\S*\s+)(\S+)(.*)$/s

/** Whether the guest opens an encrypted disk that is here: what is on it is there for the guest and cannot be seen from outside. */
export function opensEncryptedDisk(guest: Guest): boolean {
  const lines = guest.files.find((own) => own.path === path)?.text.split('\n') ?? []
  return lines.some((line) => {
    const device = entryPattern.exec(line)?.[2]
    return device !== undefined && resolveSource(guest, device)?.type === 'crypto_LUKS'
  })
}

function rewriteLine(guest: Guest, line: string, warnings: string[]): string {
  const match = entryPattern.exec(line)
  const [, name = '', device = '', rest = ''] = match ?? []
  if (match === null || !unstableDevice.test(device)) return line
  const uuid = resolveSource(guest, device)?.uuid ?? ''
  if (uuid !== '') return `${name}UUID=${uuid}${rest}`
  // A swap area with a new key at each start has nothing else to be known by.
  warnings.push(
    `${path} names ${device} for ${name.trim()}, which has no UUID: it is left as it is and may not be there`,
  )
  return line
}

/** The change, or undefined when there is no such file or it is good as it is. */
export function planCrypttab(guest: Guest, warnings: string[]): Change | undefined {
  const file = guest.files.find((own) => own.path === path)
  const text = file?.text
    .split('\n')
    .map((line) => rewriteLine(guest, line, warnings))
    .join('\n')
  if (text === undefined || text === file?.text) return undefined
  return {
    name: 'crypttab',
    what: 'Opens encrypted disks by UUID',
    because: 'Device names change with the disk controller',
    operations: [{ kind: 'write', path, text }],
  }
}
