/**
 * Addresses as this machine itself uses them.
 * @module
 */
import { isIPv6 } from 'node:net'

/** Where a service is reached from here that listens on `host`: loopback, if it listens on every address. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

/** `host:port` as it stands in a URL: an IPv6 address goes into brackets. */
export function urlAuthority(host: string, port: number | string): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** The URL under which this machine reaches the dashboard that listens on `host` and `port`. */
export function dashboardUrl(host: string, port: number | string): string {
  return `http://${urlAuthority(reachableHost(host), port)}`
}
