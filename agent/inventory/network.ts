/**
 * The network interfaces of the machine.
 * @module
 */
import type { NetworkInterfaceInfo } from 'node:os'
import type { SourceProperties } from '../../domain/source_server.ts'
import type { SystemFiles } from './system_files.ts'

/** What `os.networkInterfaces()` gives. */
export type InterfaceAddresses = NodeJS.Dict<NetworkInterfaceInfo[]>

/** Interfaces at most; the wire takes no more. */
const maxInterfaces = 32

/** The interface that the default route leaves through, out of `/proc/net/route`; the one with the lowest metric. */
export function defaultRouteInterface(routes: string): string | undefined {
  let best: { name: string; metric: number } | undefined
  for (const line of routes.split('\n').slice(1)) {
    const [name, destination, , , , , metric] = line.trim().split(/\s+/)
    if (name === undefined || destination !== '00000000') continue
    if (best === undefined || Number(metric) < best.metric) best = { name, metric: Number(metric) }
  }
  return best?.name
}

/** Interfaces other than loopback, the primary one first. */
export async function readNetworkInterfaces(
  files: SystemFiles,
  addresses: InterfaceAddresses,
): Promise<SourceProperties['networkInterfaces']> {
  const primary = defaultRouteInterface((await files.readText('/proc/net/route')) ?? '')
  const names = (await files.list('/sys/class/net')).filter((name) => name !== 'lo')
  const interfaces: SourceProperties['networkInterfaces'] = []
  for (const name of names) {
    const macAddress = (await files.readText(`/sys/class/net/${name}/address`)) ?? ''
    const ips = (addresses[name] ?? []).map((address) => address.address).slice(0, 64)
    // Bridges' and containers' ends without an address say nothing about the server.
    if (ips.length === 0 && /^(veth|docker|br-|virbr|bonding_masters)/.test(name)) continue
    interfaces.push({ name, macAddress, ips, isPrimary: name === primary })
  }
  return interfaces.sort((a, b) => Number(b.isPrimary) - Number(a.isPrimary)).slice(0, maxInterfaces)
}
