/**
 * A request as its sender signed it: the bytes of the wire, before any framework has made them neater.
 * @module
 */
import type { Context } from 'hono'
import type { TrustedProxies } from '../trusted_proxies.ts'

/** What a signature is checked against. */
export interface SignedRequest {
  method: string
  /** Path and query as they stood in the request line. */
  target: string
  /** In the order of the wire; a header that came twice stands here twice. */
  headers: readonly (readonly [name: string, value: string])[]
  body: Uint8Array
  /** Who asks, for the limit on guessing. */
  address: string
  /** What trusted proxies say that the host was called before them. */
  forwardedHosts: readonly string[]
}

/** The request of `c` with its body, which has been read already. */
export function signedRequestOf(c: Context, trustedProxies: TrustedProxies, body: Uint8Array): SignedRequest {
  const wire = wireOf(c)
  const { pathname, search } = new URL(c.req.url)
  return {
    method: c.req.method,
    target: wire?.url ?? pathname + search,
    headers: wire === undefined ? [...c.req.raw.headers] : pairs(wire.rawHeaders),
    body,
    address: trustedProxies.callerAddress(c),
    forwardedHosts: trustedProxies.forwardedHosts(c),
  }
}

interface Wire {
  url: string
  rawHeaders: string[]
}

/** What Node's server has read, where that is what serves: URLs and headers of the web platform have lost what was on the wire. */
function wireOf(c: Context): Wire | undefined {
  const environment: unknown = c.env
  if (typeof environment !== 'object' || environment === null || !('incoming' in environment))
    return undefined
  const { url, rawHeaders } = environment.incoming as Partial<Wire>
  return url === undefined || rawHeaders === undefined ? undefined : { url, rawHeaders }
}

/** Node lists names and values in turn. */
function pairs(flat: readonly string[]): [string, string][] {
  const found: [string, string][] = []
  for (let index = 0; index + 1 < flat.length; index += 2)
    found.push([flat[index] ?? '', flat[index + 1] ?? ''])
  return found
}
