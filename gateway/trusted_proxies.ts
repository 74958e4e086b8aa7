/**
 * Proxies before the operators' port, and who asks through them.
 * @module
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { Context } from 'hono'
import { remoteAddress } from './request.ts'

/** Each is tried in turn. */
const maxForwardedHosts = 4

/** The proxies that the operator trusts. */
export class TrustedProxies {
  readonly #places = new BlockList()

  /** Trusts addresses and networks (`192.0.2.0/24`). @throws TypeError naming what is neither. */
  constructor(places: readonly string[]) {
    for (const place of places) {
      const [address = '', ...rest] = place.split('/')
      const family = familyOf(address)
      try {
        if (family === undefined) throw new TypeError('It does not begin with an address')
        if (rest.length === 0) this.#places.addAddress(address, family)
        else this.#places.addSubnet(address, bitsOf(rest.join('/')), family)
      } catch (error) {
        throw new TypeError(`Cannot read “${place}” as an address or a network such as 192.0.2.0/24`, {
          cause: error,
        })
      }
    }
  }

  /**
   * The address of whoever asks. The last one in X-Forwarded-For is what a proxy has seen itself; those before it, and all of them when
   * they come from anybody else, are the caller's own word.
   */
  callerAddress(c: Context): string {
    const forwarded = (c.req.header('x-forwarded-for') ?? '').split(',')
    let address = remoteAddress(c)
    while (this.#has(address)) {
      const before = (forwarded.pop() ?? '').trim()
      if (familyOf(before) === undefined) break
      address = before
    }
    return address
  }

  /**
   * What the caller may have called this host before proxies that are trusted changed it, from X-Forwarded-Host; empty where nobody is
   * trusted. Any of them may be made up by the caller: they say what was signed, never who may do what.
   */
  forwardedHosts(c: Context): string[] {
    if (!this.#has(remoteAddress(c))) return []
    const names = (c.req.header('x-forwarded-host') ?? '').split(',', maxForwardedHosts)
    return names.map((name) => name.trim()).filter((name) => name !== '')
  }

  #has(address: string): boolean {
    const family = familyOf(address)
    return family !== undefined && this.#places.check(address, family)
  }
}

/** Not a number, which no network takes, for what is not written in digits alone. */
function bitsOf(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  if (isIPv4(address)) return 'ipv4'
  return isIPv6(address) ? 'ipv6' : undefined
}
