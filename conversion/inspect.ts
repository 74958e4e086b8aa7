/**
 * Finds out what a guest is. It looks at files only and runs none of the guest's programs; libguestfs's own inspection takes
 * more than twice as long without hardware virtualization.
 * @module
 */
import { PermanentError } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import { findBootLoader, readBootCode, readEfi } from './boot_files.ts'
import { bootLoaderFiles, chooseFirmware } from './bootloader.ts'
import { findFileSystems, findRoot, mountGuest } from './file_systems.ts'
import { agentPaths } from './linux/agent.ts'
import { readKernels } from './kernels.ts'
import type { DiskToConvert, Guest, GuestFile, InitSystem, NetworkStack, TargetHardware } from './types.ts'

/** Files whose text changes look into; patterns with `*` are expanded. */
const filesOfInterest = [
  '/etc/fstab',
  '/etc/crypttab',
  '/etc/inittab',
  '/etc/default/grub',
  '/etc/kernel/cmdline',
  '/boot/loader/entries/*.conf',
  '/boot/grub2/grubenv',
  '/boot/efi/EFI/*/grub.cfg',
  '/efi/EFI/*/grub.cfg',
  '/etc/network/interfaces',
  '/etc/network/interfaces.d/*',
  '/etc/netplan/*.yaml',
  '/etc/systemd/network/*.network',
  '/etc/NetworkManager/system-connections/*',
  '/etc/sysconfig/network',
  '/etc/sysconfig/network-scripts/ifcfg-*',
  '/etc/sysconfig/network-scripts/route*-*',
  '/etc/sysconfig/network-scripts/rule*-*',
  '/etc/cloud/cloud.cfg',
  '/etc/cloud/cloud.cfg.d/99-rehost-network.cfg',
  '/etc/udev/rules.d/70-persistent-net.rules',
  '/etc/initramfs-tools/modules',
  ...bootLoaderFiles.map(({ path }) => path),
]
const dhcpClients = [
  '/sbin/dhclient',
  '/sbin/dhcpcd',
  '/sbin/udhcpc',
  '/sbin/pump',
  '/usr/sbin/dhclient',
  '/usr/sbin/dhcpcd',
  '/usr/bin/udhcpc',
]
const elfMachineX86 = 62

async function readFiles(appliance: Appliance): Promise<GuestFile[]> {
  const files: GuestFile[] = []
  for (const pattern of filesOfInterest) {
    const paths = pattern.includes('*') ? await appliance.lines('glob-expand', pattern) : [pattern]
    for (const path of paths) {
      const text = await appliance.text(path)
      if (text !== undefined) files.push({ path, text })
    }
  }
  return files
}

interface Release {
  distribution: string
  productName: string
  version: string
}

async function readRelease(appliance: Appliance): Promise<Release> {
  const text =
    (await appliance.text('/etc/os-release')) ?? (await appliance.text('/usr/lib/os-release')) ?? ''
  const value = (name: string): string => new RegExp(`^${name}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1] ?? ''
  const old = ((await appliance.text('/etc/redhat-release')) ?? '').trim()
  return {
    distribution: value('ID') || 'unknown',
    productName: value('PRETTY_NAME') || value('NAME') || old || 'a Linux of unknown name',
    version: value('VERSION_ID'),
  }
}

/** The architecture of the guest's programs, by the first of them that is there; undefined when none is. */
async function readArchitecture(appliance: Appliance): Promise<string | undefined> {
  for (const path of ['/bin/sh', '/usr/bin/sh', '/bin/bash', '/sbin/init']) {
    if (!(await appliance.isFile(path))) continue
    const header = await appliance.start(path, 20)
    if (header.length < 20 || header.toString('latin1', 1, 4) !== 'ELF') continue
    const bits = header[4] === 2 ? 64 : 32
    const machine = header.readUInt16LE(18)
    return machine === elfMachineX86 && bits === 64 ? 'x86_64' : `ELF machine ${machine}, ${bits} bits`
  }
  return undefined
}

async function readHostname(appliance: Appliance): Promise<string> {
  const own = ((await appliance.text('/etc/hostname')) ?? '').trim()
  if (own !== '') return own
  return /^HOSTNAME=["']?([^"'\s]+)/m.exec((await appliance.text('/etc/sysconfig/network')) ?? '')?.[1] ?? ''
}

/** The network stack in charge: the most particular one that has something configured. */
async function findNetworkStack(appliance: Appliance, files: readonly GuestFile[]): Promise<NetworkStack> {
  const has = (pattern: RegExp): boolean => files.some(({ path }) => pattern.test(path))
  const hasNetworkManager = await appliance.isFile('/usr/sbin/NetworkManager')
  if (has(/^\/etc\/netplan\//)) return 'netplan'
  if (has(/\/network-scripts\/ifcfg-(?!lo$)/)) return hasNetworkManager ? 'NetworkManager' : 'network-scripts'
  const hasIfupdown = (await appliance.isFile('/sbin/ifup')) || (await appliance.isFile('/usr/sbin/ifup'))
  const interfaces = files.filter(({ path }) => path.startsWith('/etc/network/'))
  if (hasIfupdown && interfaces.some(({ text }) => /^\s*iface\s+(?!lo\b)/m.test(text))) return 'ifupdown'
  if (hasNetworkManager) return 'NetworkManager'
  if (has(/^\/etc\/systemd\/network\//)) return 'systemd-networkd'
  return hasIfupdown ? 'ifupdown' : 'unknown'
}

async function findInitSystem(appliance: Appliance, files: readonly GuestFile[]): Promise<InitSystem> {
  for (const path of ['/lib/systemd/systemd', '/usr/lib/systemd/systemd'])
    if (await appliance.isFile(path)) return 'systemd'
  return files.some(({ path }) => path === '/etc/inittab') ? 'sysvinit' : 'unknown'
}

async function hasSerialLogin(
  appliance: Appliance,
  files: readonly GuestFile[],
  serialConsole: string,
): Promise<boolean> {
  const link = `/etc/systemd/system/getty.target.wants/serial-getty@${serialConsole}.service`
  if (await appliance.asks('is-symlink', link)) return true
  const inittab = files.find(({ path }) => path === '/etc/inittab')?.text ?? ''
  return new RegExp(`^[^#\\n]*:respawn:.*\\b${serialConsole}\\b`, 'm').test(inittab)
}

async function anyExists(appliance: Appliance, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) if (await appliance.asks('exists', path)) return true
  return false
}

/**
 * Inspects the guest and leaves its file systems mounted.
 * @throws PermanentError with a verdict when there is no guest here that can be converted; nothing has been written then but the journal
 *   of a file system that was not cleanly left.
 */
export async function inspect(
  appliance: Appliance,
  disks: readonly DiskToConvert[],
  target: TargetHardware,
): Promise<Guest> {
  const found = await findFileSystems(appliance)
  const root = await findRoot(appliance, found)
  const sourceDeviceNames = disks.map(({ sourceDeviceName }) => sourceDeviceName)
  const { fileSystems, warnings } = await mountGuest(appliance, root, {
    fileSystems: found.fileSystems,
    sourceDeviceNames,
  })
  const release = await readRelease(appliance)
  const architecture = await readArchitecture(appliance)
  if (architecture === undefined) {
    throw new PermanentError(
      `Found ${release.productName} but none of its programs: is /usr on a disk that was not replicated?`,
    )
  }
  if (architecture !== 'x86_64') {
    throw new PermanentError(
      `The programs of ${release.productName} are for ${architecture}: the target runs x86_64 only`,
    )
  }
  const files = await readFiles(appliance)
  const efi = await readEfi(appliance)
  const bootCode = await readBootCode(appliance, disks, found.partitions)
  const firmware = chooseFirmware({ bootCode, efi }, target.firmwares)
  const presentAgentPaths: string[] = []
  for (const path of agentPaths) {
    if ((await appliance.asks('exists', path)) || (await appliance.asks('is-symlink', path)))
      presentAgentPaths.push(path)
  }
  const selinux = (await appliance.text('/etc/selinux/config')) ?? ''
  return {
    family: 'linux',
    ...release,
    architecture,
    hostname: await readHostname(appliance),
    rootDevice: root.device,
    fileSystems,
    usesLvm: found.usesLvm,
    sourceDeviceNames,
    firmware,
    bootLoader: findBootLoader(firmware, bootCode, files),
    initSystem: await findInitSystem(appliance, files),
    kernels: await readKernels(appliance, target),
    networkStack: await findNetworkStack(appliance, files),
    hasDhcpClient: await anyExists(appliance, dhcpClients),
    hasNetworkd: await anyExists(appliance, [
      '/lib/systemd/systemd-networkd',
      '/usr/lib/systemd/systemd-networkd',
    ]),
    hasSerialLogin: await hasSerialLogin(appliance, files, target.serialConsole),
    agentPaths: presentAgentPaths,
    hasSelinux: /^\s*SELINUX=(enforcing|permissive)/m.test(selinux),
    files,
    ...(efi === undefined ? {} : { efi }),
    warnings,
  }
}
