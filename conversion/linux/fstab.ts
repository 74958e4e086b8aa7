/**
 * `/etc/fstab`: file systems by UUID where it names devices by names that change with the hardware, and no waiting for disks that did not
 * come along.
 * @module
 */
import type { Change, Guest } from '../types.ts'
import { resolveSource, unstableDevice } from './devices.ts'

const path = '/etc/fstab'
const blockSource = /^(?:\/dev\/|UUID=|LABEL=|PARTUUID=|PARTLABEL=)/

/** A line of fstab and what stands between its fields. */
export interface FstabEntry {
  source: string
  mountPoint: string
  type: string
  options: string
  /** The line with other values for source and options. */
  with(change: { source?: string; options?: string }): string
}

/** The line as an entry; undefined for comments and what is none. */
export function parseFstabLine(line: string): FstabEntry | undefined {
  const match = /^(\s*)(\S+)(\s+)(\S+)(\s+)(\S+)(?:(\s+)(\S+))?(.*)$/.exec(line)
  if (match === null || line.trimStart().startsWith('#')) return undefined
  const [
    ,
    indent = '',
    source = '',
    gap1 = '',
    mountPoint = '',
    gap2 = '',
    type = '',
    gap3 = ' ',
    options = 'defaults',
    rest = '',
  ] = match
  return {
    source,
    mountPoint,
    type,
    options,
    with: (change) =>
      `${indent}${change.source ?? source}${gap1}${mountPoint}${gap2}${type}${gap3}${change.options ?? options}${rest}`,
  }
}

/** All entries of a text. */
export function parseFstab(text: string): FstabEntry[] {
  return text
    .split('\n')
    .map(parseFstabLine)
    .filter((entry) => entry !== undefined)
}

/** One line changed; the same line when there is nothing to change. */
function rewriteLine(guest: Guest, line: string, warnings: string[]): string {
  const entry = parseFstabLine(line)
  if (entry === undefined || !blockSource.test(entry.source)) return line
  const isRoot = entry.mountPoint === '/'
  const found =
    resolveSource(guest, entry.source, entry.type) ??
    (isRoot ? guest.fileSystems.find(({ device }) => device === guest.rootDevice) : undefined)
  if (found !== undefined) {
    return unstableDevice.test(entry.source) && found.uuid !== ''
      ? entry.with({ source: `UUID=${found.uuid}` })
      : line
  }
  const options = entry.options.split(',')
  // CD drives and the like are mounted by hand.
  if (isRoot || options.includes('noauto') || options.includes('nofail')) return line
  warnings.push(
    `${path} names ${entry.source} for ${entry.mountPoint}, which was not found on the replicated disks: the guest starts without it`,
  )
  return entry.with({ options: `${entry.options},nofail` })
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
    name: 'fstab',
    what: 'Mounts file systems by UUID, and does not wait for disks that were not replicated',
    because: 'Device names change with the disk controller',
    operations: [{ kind: 'write', path, text }],
  }
}
