import { describe, expect, it } from 'vitest'
import { planNetwork } from '../../../conversion/linux/network.ts'
import type { Guest, GuestFile, NetworkStack, Operation } from '../../../conversion/types.ts'
import { debianGuest } from '../../fixtures/guests_described.ts'

interface Planned {
  operations: Operation[]
  warnings: string[]
}

function planned(networkStack: NetworkStack, files: GuestFile[], own: Partial<Guest> = {}): Planned {
  const warnings: string[] = []
  const change = planNetwork(debianGuest({ ...own, networkStack, files }), warnings)
  return { operations: change?.operations ?? [], warnings }
}

const moves = ({ operations }: Planned): string[][] =>
  operations.flatMap((operation) => (operation.kind === 'rename' ? [[operation.path, operation.to]] : []))
const written = ({ operations }: Planned): Map<string, string> =>
  new Map(
    operations.flatMap((operation) => (operation.kind === 'write' ? [[operation.path, operation.text]] : [])),
  )

describe('planNetwork()', () => {
  it('ifupdown: asks by DHCP on whatever begins as Ethernet interfaces do', () => {
    const plan = planned('ifupdown', [
      { path: '/etc/network/interfaces', text: 'auto ens3\niface ens3 inet dhcp\n' },
      { path: '/etc/network/interfaces.d/data', text: 'auto ens4\niface ens4 inet dhcp\n' },
    ])
    expect(moves(plan)).toEqual([
      ['/etc/network/interfaces', '/etc/network/interfaces.before-rehost'],
      ['/etc/network/interfaces.d/data', '/etc/network/interfaces.d.before-rehost/data'],
    ])
    expect(written(plan).get('/etc/network/interfaces')).toContain(
      'auto /e*=rehost\niface rehost inet dhcp\n',
    )
  })

  it('ifupdown without a DHCP client: hands Ethernet over to systemd-networkd', () => {
    const plan = planned(
      'ifupdown',
      [{ path: '/etc/network/interfaces', text: 'iface eth0 inet static\n address 10.0.0.7\n' }],
      {
        hasDhcpClient: false,
      },
    )
    expect(written(plan).get('/etc/network/interfaces')).not.toContain('dhcp')
    expect(written(plan).get('/etc/systemd/network/10-rehost.network')).toContain(
      '[Match]\nName=e*\n\n[Network]\nDHCP=yes\n',
    )
    expect(plan.operations).toContainEqual({
      kind: 'link',
      path: '/etc/systemd/system/multi-user.target.wants/systemd-networkd.service',
      target: '/lib/systemd/system/systemd-networkd.service',
    })
    expect(plan.warnings).toEqual([
      'The source has fixed addresses (10.0.0.7); the launched machine gets its address by DHCP',
    ])
  })

  it('ifupdown with nothing that speaks DHCP: says so', () => {
    const plan = planned(
      'ifupdown',
      [{ path: '/etc/network/interfaces', text: 'iface eth0 inet manual\n' }],
      {
        hasDhcpClient: false,
        hasNetworkd: false,
      },
    )
    expect(plan.warnings.join()).toContain('Found nothing in the guest that speaks DHCP')
  })

  it('netplan: keeps what carries it out and tells of fixed addresses, not of name servers', () => {
    const text =
      'network:\n  renderer: NetworkManager\n  ethernets:\n    ens3:\n      addresses: [10.0.0.7/24]\n      nameservers:\n        addresses: [1.1.1.1]\n'
    const plan = planned('netplan', [{ path: '/etc/netplan/00-installer.yaml', text }])
    expect(moves(plan)).toEqual([
      ['/etc/netplan/00-installer.yaml', '/etc/netplan.before-rehost/00-installer.yaml'],
    ])
    expect(written(plan).get('/etc/netplan/90-rehost.yaml')).toContain(
      '  renderer: NetworkManager\n  ethernets:\n',
    )
    expect(plan.warnings.join()).toContain('(10.0.0.7)')
  })

  it('keeps cloud-init from configuring the network again, and from making another machine of it', () => {
    const plan = planned('netplan', [
      { path: '/etc/netplan/50-cloud-init.yaml', text: 'network: {}\n' },
      { path: '/etc/cloud/cloud.cfg', text: 'users: []\n' },
    ])
    const settings = written(plan).get('/etc/cloud/cloud.cfg.d/99-rehost-network.cfg')
    expect(settings).toContain('\nnetwork: {config: disabled}\n')
    expect(settings).toContain('\nssh_deletekeys: false\npreserve_hostname: true\n')
  })

  it('systemd-networkd: one file for all', () => {
    const plan = planned('systemd-networkd', [
      { path: '/etc/systemd/network/lan.network', text: '[Match]\nName=ens3\n' },
    ])
    expect(moves(plan)).toEqual([
      ['/etc/systemd/network/lan.network', '/etc/systemd/network.before-rehost/lan.network'],
    ])
    expect([...written(plan).keys()]).toEqual(['/etc/systemd/network/10-rehost.network'])
  })

  it('NetworkManager: puts wired profiles aside, keeps the others, and writes one for all that only root may read', () => {
    const folder = '/etc/NetworkManager/system-connections'
    const plan = planned('NetworkManager', [
      { path: `${folder}/ens3.nmconnection`, text: '[connection]\ntype=ethernet\ninterface-name=ens3\n' },
      { path: `${folder}/office.nmconnection`, text: '[connection]\ntype=vpn\n' },
      { path: '/etc/sysconfig/network-scripts/ifcfg-ens3', text: 'DEVICE=ens3\nIPADDR=10.0.0.7\n' },
      { path: '/etc/sysconfig/network-scripts/ifcfg-lo', text: 'DEVICE=lo\nIPADDR=127.0.0.1\n' },
    ])
    expect(moves(plan)).toEqual([
      [
        '/etc/sysconfig/network-scripts/ifcfg-ens3',
        '/etc/sysconfig/network-scripts.before-rehost/ifcfg-ens3',
      ],
      [`${folder}/ens3.nmconnection`, `${folder}.before-rehost/ens3.nmconnection`],
    ])
    expect(plan.operations.at(-1)).toMatchObject({
      kind: 'write',
      path: `${folder}/rehost.nmconnection`,
      mode: 0o600,
    })
    expect(plan.warnings.join()).toContain('(10.0.0.7)')
  })

  it('network scripts: one interface with the old kind of name', () => {
    const plan = planned('network-scripts', [
      { path: '/etc/sysconfig/network-scripts/ifcfg-ens3', text: 'DEVICE=ens3\nBOOTPROTO=dhcp\n' },
    ])
    expect(written(plan).get('/etc/sysconfig/network-scripts/ifcfg-eth0')).toContain(
      'DEVICE=eth0\nTYPE=Ethernet\nBOOTPROTO=dhcp\n',
    )
  })

  it('network scripts: puts routes of the old interfaces aside, and the gateway out of force', () => {
    const folder = '/etc/sysconfig/network-scripts'
    const plan = planned('network-scripts', [
      { path: '/etc/sysconfig/network', text: 'NETWORKING=yes\nGATEWAY=10.0.0.1\nGATEWAYDEV=eth0\n' },
      { path: `${folder}/ifcfg-eth0`, text: 'DEVICE=eth0\nIPADDR=10.0.0.7\n' },
      { path: `${folder}/route-eth0`, text: '10.1.0.0/16 via 10.0.0.254\n' },
    ])
    expect(moves(plan).map(([from]) => from)).toEqual([`${folder}/ifcfg-eth0`, `${folder}/route-eth0`])
    expect(written(plan).get('/etc/sysconfig/network')).toBe(
      'NETWORKING=yes\n#GATEWAY=10.0.0.1\n#GATEWAYDEV=eth0\n',
    )
  })

  it('systemd-networkd: leaves tunnels and the like as they are', () => {
    const folder = '/etc/systemd/network'
    const plan = planned('systemd-networkd', [
      { path: `${folder}/lan.network`, text: '[Match]\nMACAddress=52:54:00:00:00:01\n' },
      { path: `${folder}/any.network`, text: '[Match]\nName=en* eth*\n' },
      { path: `${folder}/vpn.network`, text: '[Match]\nName=wg0\n\n[Network]\nAddress=10.8.0.2/24\n' },
    ])
    expect(moves(plan).map(([from]) => from)).toEqual([`${folder}/lan.network`, `${folder}/any.network`])
  })

  it('leaves an unknown network alone and says so', () => {
    const plan = planned('unknown', [])
    expect(plan.operations).toEqual([])
    expect(plan.warnings).toEqual([
      'Found no network configuration that Rehost knows: the network is left as it is',
    ])
  })

  it.each<NetworkStack>(['ifupdown', 'netplan', 'systemd-networkd', 'NetworkManager', 'network-scripts'])(
    '%s: does not do again what has been done',
    (stack) => {
      const first = planned(stack, [{ path: '/etc/network/interfaces', text: 'iface ens3 inet dhcp\n' }])
      const files = [...written(first)].map(([path, text]) => ({ path, text }))
      expect(planned(stack, files).operations).toEqual([])
    },
  )
})
