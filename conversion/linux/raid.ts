/**
 * What the guest calls its RAID arrays. The appliance is another host than the one that made them and so assembles them under names of its
 * own; the guest's follow from the arrays themselves and from its mdadm configuration.
 * @module
 */
import type { FileSystem } from '../types.ts'

/** Where distributions keep mdadm's configuration. */
export const mdadmConfigurations = ['/etc/mdadm.conf', '/etc/mdadm/mdadm.conf']

/** How arrays are named, numbered or not. */
export const arrayName = /^\/dev\/(?:md\d|md\/|disk\/by-id\/md-)/
/** The appliance's name of an array or of a partition of one. */
const applianceArray = /^\/dev\/md(\d+)(?:p(\d+))?$/

/** A line of the configuration that gives an array its name. */
interface ConfiguredArray {
  device: string
  uuid: string
  name: string
}

/** mdadm.conf(5): words over several lines, of which all but the first begin with a space; keywords in any case. */
function parseConfiguration(text: string): ConfiguredArray[] {
  const joined = text.replaceAll(/#.*$/gm, '').replaceAll(/\n[ \t]+/g, ' ')
  return joined.split('\n').flatMap((line) => {
    const [keyword = '', device = '', ...words] = line.trim().split(/\s+/)
    if (!/^arr(?:a|ay)?$/i.test(keyword) || device === '' || device.startsWith('<')) return []
    const value = (tag: string): string =>
      words.find((word) => word.toLowerCase().startsWith(`${tag}=`))?.slice(tag.length + 1) ?? ''
    const path = device.startsWith('/') ? device : `/dev/md/${device}`
    return [{ device: path, uuid: value('uuid'), name: value('name') }]
  })
}

/** `/dev/md0` and `/dev/md/0` are one. */
function spellings(device: string): string[] {
  const number = /^\/dev\/md\/?(\d+)$/.exec(device)?.[1]
  return number === undefined ? [device] : [`/dev/md${number}`, `/dev/md/${number}`]
}

const digitsOf = (uuid: string): string => uuid.toLowerCase().replaceAll(/[^\da-f]/g, '')

/** The names that follow from what the array's disks say. */
function ownNames(array: { uuid: string; name: string }, number: string): string[] {
  const links = [`/dev/disk/by-id/md-uuid-${array.uuid}`, `/dev/disk/by-id/md-name-${array.name}`]
  // Arrays of the old format carry their number, which the appliance goes by too.
  if (array.name === '') return [...spellings(`/dev/md${number}`), ...links.slice(0, 1)]
  const short = array.name.slice(array.name.indexOf(':') + 1)
  return [...spellings(`/dev/md/${short}`), `/dev/md/${array.name}`, ...links]
}

/** The name of partition `number` of `device`, as the kernel and udev make it. */
function partitionOf(device: string, number: string): string {
  if (device.startsWith('/dev/disk/')) return `${device}-part${number}`
  return device + (/\d$/.test(device) ? 'p' : '') + number
}

/** The file systems with what the guest calls them, those on RAID arrays. @param configuration mdadm's, empty where there is none */
export function withArrayNames(fileSystems: readonly FileSystem[], configuration: string): FileSystem[] {
  const configured = parseConfiguration(configuration)
  const isTaken = (name: string): boolean => configured.some(({ device }) => spellings(device).includes(name))
  return fileSystems.map((own) => {
    const [, number = '', partition] = applianceArray.exec(own.device) ?? []
    const { array } = own
    if (array === undefined || number === '') return own
    const isMeant = ({ uuid, name }: ConfiguredArray): boolean =>
      uuid === '' ? name !== '' && name === array.name : digitsOf(uuid) === digitsOf(array.uuid)
    const names = [
      ...configured.filter(isMeant).flatMap(({ device }) => spellings(device)),
      ...ownNames(array, number).filter((name) => !isTaken(name)),
    ]
    const guestNames = partition === undefined ? names : names.map((name) => partitionOf(name, partition))
    return { ...own, guestNames: [...new Set(guestNames)] }
  })
}
