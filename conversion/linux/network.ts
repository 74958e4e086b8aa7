/**
 * Network by DHCP on every Ethernet interface, whatever the target calls it. The old configuration stays beside the new one.
 * @module
 */
import type { Change, Guest, GuestFile, Operation } from '../types.ts'

/** Added to the name of a file that is put aside; none of the network stacks reads files that end in it. */
export const asideSuffix = '.before-rehost'

const ifupdown = `# Written when this server was migrated; what was here is in interfaces${asideSuffix}.
# Every Ethernet interface asks by DHCP, whatever it is called.
auto lo
iface lo inet loopback

auto /e*=rehost
iface rehost inet dhcp
`

const netplan = `# Written when this server was migrated: every Ethernet interface asks by DHCP, whatever it is called.
network:
  version: 2
  ethernets:
    rehost:
      match:
        name: "e*"
      dhcp4: true
      dhcp6: true
`

const networkd = `# Written when this server was migrated: every Ethernet interface asks by DHCP, whatever it is called.
[Match]
Name=e*

[Network]
DHCP=yes
`

const networkManager = `# Written when this server was migrated: every Ethernet interface asks by DHCP, whatever it is called.
[connection]
id=rehost
type=ethernet
autoconnect=true

[ipv4]
method=auto

[ipv6]
method=auto
`

function aside(files: readonly GuestFile[]): Operation[] {
  return files.map(({ path }) => ({ kind: 'rename', path, to: `${path}${asideSuffix}` }))
}

function under(guest: Guest, ...prefixes: string[]): GuestFile[] {
  return guest.files.filter(({ path }) => !path.endsWith(asideSuffix) && prefixes.some((prefix) => path.startsWith(prefix)))
}

/** What to do for each stack, and the file that shows that it has been done. */
function operationsFor(guest: Guest): Operation[] {
  switch (guest.networkStack) {
    case 'ifupdown':
      return [
        ...aside(under(guest, '/etc/network/interfaces')),
        { kind: 'write', path: '/etc/network/interfaces', text: ifupdown },
      ]
    case 'netplan':
      return [
        ...aside(under(guest, '/etc/netplan/').filter(({ path }) => path !== '/etc/netplan/90-rehost.yaml')),
        { kind: 'write', path: '/etc/netplan/90-rehost.yaml', text: netplan, mode: 0o600 },
      ]
    case 'systemd-networkd':
      return [
        ...aside(under(guest, '/etc/systemd/network/').filter(({ path }) => path !== '/etc/systemd/network/90-rehost.network')),
        { kind: 'write', path: '/etc/systemd/network/90-rehost.network', text: networkd },
      ]
    case 'NetworkManager':
    case 'network-scripts': {
      const own = '/etc/NetworkManager/system-connections/rehost.nmconnection'
      const old = under(guest, '/etc/NetworkManager/system-connections/', '/etc/sysconfig/network-scripts/ifcfg-')
      const toMove = aside(old.filter(({ path }) => path !== own && !path.endsWith('/ifcfg-lo')))
      return guest.networkStack === 'NetworkManager'
        ? [...toMove, { kind: 'write', path: own, text: networkManager, mode: 0o600 }]
        : toMove
    }
    case 'unknown':
      return []
  }
}

/** Whether the guest's network is as {@link operationsFor} would make it. */
function isDone(guest: Guest, operations: readonly Operation[]): boolean {
  return operations.some(
    (operation) => operation.kind === 'write' && guest.files.some(({ path, text }) => path === operation.path && text === operation.text),
  )
}

/** The change, or undefined when the network is good as it is or nothing is known of it. */
export function planNetwork(guest: Guest, warnings: string[]): Change | undefined {
  const operations = operationsFor(guest)
  if (guest.networkStack === 'unknown') {
    warnings.push('Found no network configuration that Rehost knows: the network is left as it is')
  }
  if (guest.networkStack === 'network-scripts') {
    warnings.push('The network is configured by the old network scripts: an interface with another name than before needs an ifcfg file')
  }
  if (operations.length === 0 || isDone(guest, operations)) return undefined
  return {
    name: 'network-by-dhcp',
    what: `Network by DHCP on every Ethernet interface (${guest.networkStack})`,
    because: 'The target has other network cards, and interface names follow them',
    operations,
  }
}

/** Old rules that would keep the names of network cards that are no longer there. */
export function planPersistentNames(guest: Guest): Change | undefined {
  const path = '/etc/udev/rules.d/70-persistent-net.rules'
  if (!guest.files.some((file) => file.path === path)) return undefined
  return {
    name: 'no-persistent-network-names',
    what: 'Puts aside udev rules that tie interface names to the old network cards',
    because: 'The new cards would get other names',
    operations: [{ kind: 'rename', path, to: `${path}${asideSuffix}` }],
  }
}
