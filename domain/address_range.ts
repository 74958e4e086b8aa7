/**
 * Ranges of IP addresses as they are written, `10.0.0.0/24` or `2001:db8::/32`, and whether an address is in one. Pure.
 * @module
 */

/** An address as a number, of as many bits as its family has. */
interface Address {
  bits: 32 | 128
  value: bigint
}

/** A range: addresses whose first `prefixLength` bits are those of `address`. */
interface AddressRange {
  address: Address
  prefixLength: number
}

const octet = /^(?:0|[1-9]\d{0,2})$/
const group = /^[0-9a-f]{1,4}$/i

function readIpv4(text: string): bigint | undefined {
  const octets = text.split('.')
  if (octets.length !== 4 || !octets.every((own) => octet.test(own) && Number(own) < 256)) return undefined
  return octets.reduce((sum, own) => (sum << 8n) + BigInt(own), 0n)
}

/** The groups of one side of `::`; the last may be an address of IPv4. Undefined when one is neither. */
function readGroups(text: string): bigint[] | undefined {
  if (text === '') return []
  const groups: bigint[] = []
  const parts = text.split(':')
  for (const [place, part] of parts.entries()) {
    if (group.test(part)) {
      groups.push(BigInt(`0x${part}`))
      continue
    }
    const embedded = place === parts.length - 1 ? readIpv4(part) : undefined
    if (embedded === undefined) return undefined
    groups.push(embedded >> 16n, embedded & 0xffffn)
  }
  return groups
}

function readIpv6(text: string): bigint | undefined {
  const [before = '', after, ...more] = text.split('::')
  const head = readGroups(before)
  const tail = after === undefined ? [] : readGroups(after)
  if (more.length > 0 || head === undefined || tail === undefined) return undefined
  // An address of IPv4 stands at the end only.
  if (after !== undefined && before.includes('.')) return undefined
  const missing = 8 - head.length - tail.length
  if (after === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...Array.from({ length: missing }, () => 0n), ...tail]
  return groups.reduce((sum, own) => (sum << 16n) + own, 0n)
}

function readAddress(text: string): Address | undefined {
  const ipv4 = readIpv4(text)
  if (ipv4 !== undefined) return { bits: 32, value: ipv4 }
  const ipv6 = readIpv6(text)
  return ipv6 === undefined ? undefined : { bits: 128, value: ipv6 }
}

/** The range written as `text`; undefined when it is none. */
export function readAddressRange(text: string): AddressRange | undefined {
  const [host = '', length = '', ...more] = text.split('/')
  const address = readAddress(host)
  if (address === undefined || more.length > 0 || !octet.test(length)) return undefined
  const prefixLength = Number(length)
  return prefixLength > address.bits ? undefined : { address, prefixLength }
}

/** Whether `text` is an address in the range written as `range`; one of the other family is not. */
export function isInAddressRange(text: string, range: string): boolean {
  const wanted = readAddressRange(range)
  const own = readAddress(text)
  if (wanted === undefined || own?.bits !== wanted.address.bits) return false
  const free = BigInt(own.bits - wanted.prefixLength)
  return own.value >> free === wanted.address.value >> free
}
