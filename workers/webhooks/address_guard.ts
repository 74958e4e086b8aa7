/**
 * Which addresses webhooks may be sent to. A person who may make an endpoint must not be able to reach, through the workers, what only they can
 * reach: this machine, its network, the metadata of its cloud.
 * @module
 */
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Networks of IPv4 that are not the Internet, and the one address in it that is a cloud's own. */
const refusedNetworks: readonly [address: string, prefixLength: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Azure answers its machines here.
  ['168.63.129.16', 32],
  // Link-local: most clouds' metadata is at 169.254.169.254.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Of IPv6 only this is the Internet, so neither `::1` nor addresses that hold one of IPv4 (`::ffff:10.0.0.1`, `64:ff9b::a00:1`) … */
const internet: readonly [address: string, prefixLength: number] = ['2000::', 3]

/** … without these: special purposes and Teredo, documentation, and 6to4, whose addresses hold one of IPv4. */
const refusedIpv6: readonly [address: string, prefixLength: number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

function listOf(networks: readonly (readonly [address: string, prefixLength: number])[]): BlockList {
  const list = new BlockList()
  for (const [address, prefixLength] of networks)
    list.addSubnet(address, prefixLength, isIPv6(address) ? 'ipv6' : 'ipv4')
  return list
}

const refused = listOf([...refusedNetworks, ...refusedIpv6])
const public6 = listOf([internet])

/** The networks that may be reached all the same: addresses and networks with commas between them. */
export type AllowedNetworks = BlockList

/** Reads the networks of a setting. @throws TypeError naming what is none. */
export function readAllowedNetworks(text: string): AllowedNetworks {
  const list = new BlockList()
  for (const place of text.split(/[\s,]+/).filter((own) => own !== '')) {
    const [address = '', length, ...more] = place.split('/')
    const family = isIP(address)
    const most = family === 6 ? 128 : 32
    const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : NaN
    if (family === 0 || more.length > 0 || !(bits <= most))
      throw new TypeError(`Cannot read ${place} as an address or a network, like 10.0.0.5 or 10.0.0.0/8`)
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** Why nothing may be sent to `address`, in words; undefined when it may. */
export function refusalOf(address: string, allowed: AllowedNetworks): string | undefined {
  const family = isIP(address)
  if (family === 0) return `${address} is no address`
  const kind = family === 6 ? 'ipv6' : 'ipv4'
  if (allowed.check(address, kind)) return undefined
  const isPublic =
    family === 4
      ? !refused.check(address, 'ipv4')
      : public6.check(address, 'ipv6') && !refused.check(address, 'ipv6')
  return isPublic
    ? undefined
    : `${address} is not a public address; REHOST_WEBHOOK_ALLOW_PRIVATE names the networks that may be reached`
}
