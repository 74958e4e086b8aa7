/**
 * Network by DHCP on every Ethernet interface, whatever the target calls it. The old configuration stays beside the new one.
 * @module
 */
import { basename, dirname } from 'node:path'
import type { Change, Guest, GuestFile, Operation } from '../types.ts'

/** Added to the name of a file or folder that is put aside; no network stack looks there. */
export const asideSuffix = '.before-rehost'

const comment =
  '# Written when this server was migrated: every Ethernet interface asks by DHCP, whatever it is called.\n'

const ifupdown = `${comment}auto lo
iface lo inet loopback

auto /e*=rehost
iface rehost inet dhcp
`

const loopbackOnly = `# Written when this server was migrated: systemd-networkd configures the Ethernet interfaces.
auto lo
iface lo inet loopback
`

/** netplan's file; what carries it out (networkd or NetworkManager) stays what it was. */
function netplanText(guest: Guest): string {
  const renderers = guest.files
    .filter(({ path }) => path.startsWith('/etc/netplan/'))
    .map(({ text }) => /^\s*renderer:\s*(\w+)\s*$/m.exec(text)?.[1])
  const renderer = renderers.find((name) => name !== undefined)
  return `${comment}network:
  version: 2
${renderer === undefined ? '' : `  renderer: ${renderer}\n`}  ethernets:
    rehost:
      match:
        name: "e*"
      dhcp4: true
      dhcp6: true
`
}

const networkd = `${comment}[Match]
Name=e*

[Network]
DHCP=yes
`

const networkManager = `${comment}[connection]
id=rehost
type=ethernet
autoconnect=true
multi-connect=3

[ipv4]
method=auto

[ipv6]
method=auto
`

const networkScript = `${comment}DEVICE=eth0
TYPE=Ethernet
BOOTPROTO=dhcp
ONBOOT=yes
NM_CONTROLLED=no
`

const paths = {
  interfaces: '/etc/network/interfaces',
  netplan: '/etc/netplan/90-rehost.yaml',
  networkd: '/etc/systemd/network/10-rehost.network',
  networkManager: '/etc/NetworkManager/system-connections/rehost.nmconnection',
  networkScript: '/etc/sysconfig/network-scripts/ifcfg-eth0',
  cloudInit: '/etc/cloud/cloud.cfg.d/99-rehost-network.cfg',
}

/** Puts files aside: a file of a folder that is read as a whole goes to a folder beside it, any other beside itself. */
function aside(files: readonly GuestFile[]): Operation[] {
  return files.map(({ path }) => {
    const to =
      path === paths.interfaces ? path + asideSuffix : `${dirname(path)}${asideSuffix}/${basename(path)}`
    return { kind: 'rename', path, to }
  })
}

/** Files under `folder`, without the one that conversion itself writes. */
function under(guest: Guest, folder: string, own: string): GuestFile[] {
  return guest.files.filter(({ path }) => path.startsWith(`${folder}/`) && path !== own)
}

const write = (path: string, text: string, mode?: number): Operation => ({
  kind: 'write',
  path,
  text,
  ...(mode === undefined ? {} : { mode }),
})

function ifupdownOperations(guest: Guest): Operation[] {
  const old = [
    ...guest.files.filter(({ path }) => path === paths.interfaces),
    ...under(guest, '/etc/network/interfaces.d', ''),
  ]
  if (guest.hasDhcpClient || !guest.hasNetworkd) return [...aside(old), write(paths.interfaces, ifupdown)]
  // Servers with fixed addresses often have nothing that speaks DHCP but systemd itself.
  return [
    ...aside(old),
    write(paths.interfaces, loopbackOnly),
    write(paths.networkd, networkd),
    {
      kind: 'link',
      path: '/etc/systemd/system/multi-user.target.wants/systemd-networkd.service',
      target: '/lib/systemd/system/systemd-networkd.service',
    },
  ]
}

/** Profiles for Ethernet and what is built on it; wireless and VPN profiles stay. */
function isWiredProfile({ text }: GuestFile): boolean {
  return /^type=(?:ethernet|802-3-ethernet|bond|bridge|team|vlan)\s*$/m.test(text)
}

/** Without the gateway of the old network, which would win over the one that DHCP tells. */
function gatewayOperations(guest: Guest): Operation[] {
  const path = '/etc/sysconfig/network'
  const old = guest.files.find((file) => file.path === path)?.text
  const text = old?.replaceAll(/^(?=GATEWAY(?:DEV)?=|IPV6_DEFAULTGW=)/gm, '#')
  return text === undefined || text === old ? [] : [write(path, text)]
}

/** Tunnels, containers and wireless are no cards of the old hardware. */
function isForOtherLinks({ text }: GuestFile): boolean {
  const names = [...text.matchAll(/^\s*Name=(.*)$/gm)].flatMap((match) =>
    (match[1] ?? '').trim().split(/\s+/),
  )
  return names.length > 0 && names.every((name) => /^(?:lo$|wg|tun|tap|veth|docker|dummy|wl|ww)/.test(name))
}

/** What to do for each stack. */
function operationsFor(guest: Guest): Operation[] {
  // Interfaces, and the routes and rules that belong to their names.
  const scripts = guest.files.filter(
    ({ path, text }) =>
      path.startsWith('/etc/sysconfig/network-scripts/') &&
      !path.endsWith('/ifcfg-lo') &&
      !(path === paths.networkScript && text === networkScript),
  )
  switch (guest.networkStack) {
    case 'ifupdown':
      return ifupdownOperations(guest)
    case 'netplan':
      return [
        ...aside(under(guest, '/etc/netplan', paths.netplan)),
        write(paths.netplan, netplanText(guest), 0o600),
      ]
    case 'systemd-networkd': {
      const configured = under(guest, '/etc/systemd/network', paths.networkd)
      return [...aside(configured.filter((file) => !isForOtherLinks(file))), write(paths.networkd, networkd)]
    }
    case 'NetworkManager': {
      const profiles = under(guest, '/etc/NetworkManager/system-connections', paths.networkManager).filter(
        isWiredProfile,
      )
      return [
        ...aside([...scripts, ...profiles]),
        write(paths.networkManager, networkManager, 0o600),
        ...gatewayOperations(guest),
      ]
    }
    case 'network-scripts':
      return [...aside(scripts), write(paths.networkScript, networkScript), ...gatewayOperations(guest)]
    case 'unknown':
      return []
  }
}

/** cloud-init takes the target for a new machine: it would write its own network configuration, new SSH host keys and a new host name. */
const cloudInit = `# Written when this server was migrated: it stays the machine that it was.
network: {config: disabled}
ssh_deletekeys: false
preserve_hostname: true
`

function cloudInitOperations(guest: Guest): Operation[] {
  const hasCloudInit = guest.files.some(({ path }) => path === '/etc/cloud/cloud.cfg')
  return hasCloudInit ? [write(paths.cloudInit, cloudInit)] : []
}

/** Whether every file is there with the text that would be written. */
function isDone(guest: Guest, operations: readonly Operation[]): boolean {
  return operations.every(
    (operation) =>
      operation.kind !== 'write' ||
      guest.files.some(({ path, text }) => path === operation.path && text === operation.text),
  )
}

/** Fixed addresses in the configuration that is put aside, so that the operator knows what no longer holds. */
function fixedAddresses(guest: Guest, operations: readonly Operation[]): string[] {
  const moved = operations.filter(({ kind }) => kind === 'rename').map(({ path }) => path)
  const texts = guest.files.filter(({ path }) => moved.includes(path)).map(({ text }) => text)
  // With a prefix length it is an interface's address and not a name server's; older files have the mask on a line of its own.
  const pattern = /^\s*(?:address\s+|IPADDR\d*=["']?)((?:\d+\.){3}\d+)|\b((?:\d+\.){3}\d+)\/\d+/gim
  const addresses = texts.flatMap((text) =>
    [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? ''),
  )
  return [...new Set(addresses)].filter((address) => !address.startsWith('127.') && address !== '0.0.0.0')
}

/** The change, or undefined when the network is good as it is or nothing is known of it. */
export function planNetwork(guest: Guest, warnings: string[]): Change | undefined {
  if (guest.networkStack === 'unknown') {
    warnings.push('Found no network configuration that Rehost knows: the network is left as it is')
    return undefined
  }
  const operations = [...operationsFor(guest), ...cloudInitOperations(guest)]
  if (isDone(guest, operations)) return undefined
  const addresses = fixedAddresses(guest, operations)
  if (addresses.length > 0) {
    warnings.push(
      `The source has fixed addresses (${addresses.join(', ')}); the launched machine gets its address by DHCP`,
    )
  }
  if (guest.networkStack === 'ifupdown' && !guest.hasDhcpClient && !guest.hasNetworkd) {
    warnings.push(
      'Found nothing in the guest that speaks DHCP: install isc-dhcp-client on the source, or set the address on the console',
    )
  }
  return {
    name: 'network-by-dhcp',
    what: `Network by DHCP on every Ethernet interface (${guest.networkStack}); the old configuration is kept with ${asideSuffix} in its name`,
    because: 'The target has other network cards, and interface names follow them',
    operations,
  }
}

/** The kernel parameters with which the one interface of {@link networkScript} is called eth0; none for other stacks. */
export function interfaceNameParameters(guest: Guest): string[] {
  return guest.networkStack === 'network-scripts' ? ['net.ifnames=0', 'biosdevname=0'] : []
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
