/**
 * `/etc/fstab`: file systems by UUID where it names devices by names that change with the hardware, and a start that goes on without
 * disks that did not come along.
 * @module
 */
import type { Change, FileSystem, Guest } from '../types.ts'
import { opensEncryptedDisk } from './crypttab.ts'
import { isOfType, resolveSource, unstableDevice } from './devices.ts'
import type { Names } from './devices.ts'

const path = '/etc/fstab'
const blockSource = /^(?:\/dev\/|UUID=|LABEL=|PARTUUID=|PARTLABEL=)/
/** A partition by a name made from its disk's place or serial number, which says nothing here; disks reached otherwise are left out. */
const partitionLink = /^\/dev\/disk\/by-(?:path|id)\/(?!ip-|usb-|.*-(?:iscsi|usb|fc)-).+-part(\d+)$/
/** How a disk may be named that is inside an encrypted one, and so not seen here. */
const insideEncrypted = /^(?:UUID=|LABEL=|\/dev\/(?!disk\/by-part))/
/** How long systemd waits for a disk that may not be there; one that is there takes seconds. */
const deviceTimeoutSeconds = 30

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
  const match = /^(\s*)(\S+)(\s+)(\S+)(\s+)(\S+)(?:(\s+)(\S+))?(.*\r?)$/.exec(line)
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

/**
 * The file system that an entry means, as {@link resolveSource}; the root is known whatever it is called. A partition named by its disk's
 * place or serial number is the only one with that number and type that no other entry means.
 */
export function resolveEntry(
  names: Names & Pick<Guest, 'rootDevice'>,
  entry: FstabEntry,
  entries: readonly FstabEntry[],
): FileSystem | undefined {
  if (entry.mountPoint === '/') return names.fileSystems.find(({ device }) => device === names.rootDevice)
  const found = resolveSource(names, entry.source, entry.type)
  const number = partitionLink.exec(entry.source)?.[1]
  if (found !== undefined || number === undefined) return found
  const others = entries.filter(({ source }) => source !== entry.source)
  const taken = [
    names.rootDevice,
    ...others.map(({ source, type }) => resolveSource(names, source, type)?.device),
  ]
  const candidates = names.fileSystems.filter(
    (own) =>
      /^\/dev\/sd[a-z]+(\d+)$/.exec(own.device)?.[1] === number &&
      isOfType(own, entry.type) &&
      !taken.includes(own.device),
  )
  return candidates.length === 1 ? candidates[0] : undefined
}

/**
 * The entry's options with which the guest starts though the disk is not there. `nofail` alone would also let services start before the
 * file system is mounted, if it is there after all: a database would then make a new, empty one below it (systemd.mount(5)).
 */
function optionalOptions({ initSystem }: Guest, { options, type }: FstabEntry): string {
  const all = [...options.split(','), 'nofail']
  // Others wait for each entry in turn and know nothing of these.
  if (initSystem === 'systemd' && type !== 'swap') {
    // The network comes up after the local file systems, and what needs it can only come after both.
    all.push(`x-systemd.before=${all.includes('_netdev') ? 'remote-fs.target' : 'local-fs.target'}`)
    if (!all.some((option) => option.startsWith('x-systemd.device-timeout=')))
      all.push(`x-systemd.device-timeout=${deviceTimeoutSeconds}s`)
  }
  return all.join(',')
}

/** One line changed; the same line when there is nothing to change. */
function rewriteLine(guest: Guest, line: string, entries: readonly FstabEntry[], warnings: string[]): string {
  const entry = parseFstabLine(line)
  if (entry === undefined || !blockSource.test(entry.source)) return line
  const { source, mountPoint } = entry
  const found = resolveEntry(guest, entry, entries)
  if (found !== undefined) {
    return unstableDevice.test(source) && found.uuid !== ''
      ? entry.with({ source: `UUID=${found.uuid}` })
      : line
  }
  const options = entry.options.split(',')
  // CD drives and the like are mounted by hand.
  if (options.includes('noauto') || options.includes('nofail')) return line
  const notFound = `${path} names ${source} for ${mountPoint}, which was not found on the replicated disks`
  if (insideEncrypted.test(source) && !unstableDevice.test(source) && opensEncryptedDisk(guest)) {
    warnings.push(`${notFound} and is taken to be on an encrypted one: without it the guest does not start`)
    return line
  }
  const consequence =
    entry.type === 'swap' ? '' : `, and whatever writes to ${mountPoint} then writes to the disk below it`
  warnings.push(`${notFound}: the guest starts without it${consequence}`)
  return entry.with({ options: optionalOptions(guest, entry) })
}

/** The change, or undefined when the file is good as it is. Tells `warnings` of disks that are not there. */
export function planFstab(guest: Guest, warnings: string[]): Change | undefined {
  const file = guest.files.find((own) => own.path === path)
  if (file === undefined) return undefined
  const entries = parseFstab(file.text)
  const text = file.text
    .split('\n')
    .map((line) => rewriteLine(guest, line, entries, warnings))
    .join('\n')
  if (text === file.text) return undefined
  return {
    name: 'fstab',
    what: 'Mounts file systems by UUID, and starts without disks that were not replicated',
    because: 'Device names change with the disk controller',
    operations: [{ kind: 'write', path, text }],
  }
}
