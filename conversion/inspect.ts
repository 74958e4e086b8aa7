/**
 * Finds out what a guest is: only reads.
 * @module
 */
import { errorMessage, PermanentError } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import { initramfsPaths, UnreadableInitramfsError } from './cpio.ts'
import type { BootLoader, FileSystem, Guest, GuestFile, Kernel, NetworkStack, TargetHardware } from './types.ts'

/** Everything the agent installs; all of it goes. */
export const agentPaths = [
  '/etc/systemd/system/rehost-agent.service',
  '/etc/systemd/system/multi-user.target.wants/rehost-agent.service',
  '/opt/rehost',
  '/etc/rehost',
  '/var/lib/rehost',
]

const bootLoaderFiles: readonly { path: string; loader: BootLoader }[] = [
  { path: '/boot/grub/grub.cfg', loader: 'grub2' },
  { path: '/boot/grub2/grub.cfg', loader: 'grub2' },
  { path: '/boot/extlinux/extlinux.conf', loader: 'extlinux' },
  { path: '/extlinux.conf', loader: 'extlinux' },
  { path: '/boot/syslinux/extlinux.conf', loader: 'extlinux' },
]

/** Files whose text changes look into; patterns with `*` are expanded. */
const filesOfInterest = [
  '/etc/fstab',
  '/etc/default/grub',
  '/boot/loader/entries/*.conf',
  '/etc/network/interfaces',
  '/etc/network/interfaces.d/*',
  '/etc/netplan/*.yaml',
  '/etc/systemd/network/*.network',
  '/etc/NetworkManager/system-connections/*',
  '/etc/sysconfig/network-scripts/ifcfg-*',
  '/etc/udev/rules.d/70-persistent-net.rules',
  '/etc/initramfs-tools/modules',
]

/** Where the guest's root is; its file systems are mounted afterwards. @throws PermanentError with a verdict. */
async function findRoot(appliance: Appliance): Promise<string> {
  const roots = await appliance.lines('inspect-os')
  const [root, second] = roots
  if (root !== undefined && second === undefined) return root
  if (root !== undefined) {
    throw new PermanentError(
      `Found ${roots.length} operating systems (on ${roots.join(', ')}): Rehost converts disks with exactly one; replicate only the disks of one with --devices`,
    )
  }
  const fileSystems = await appliance.lines('list-filesystems')
  const encrypted = fileSystems.filter((line) => line.includes('crypto_LUKS') || line.includes('BitLocker'))
  if (encrypted.length > 0) {
    throw new PermanentError(`The disks are encrypted (${encrypted.join(', ')}): Rehost cannot open them to prepare them for the target`)
  }
  const seen = fileSystems.length === 0 ? 'no file system' : `only ${fileSystems.join(', ')}`
  throw new PermanentError(`Found no operating system on the disks (${seen}): is the boot disk among the replicated disks?`)
}

async function mountAll(appliance: Appliance, root: string): Promise<Map<string, string>> {
  const pairs = (await appliance.lines('inspect-get-mountpoints', root)).map((line) => {
    const separator = line.indexOf(': ')
    return { mountPoint: line.slice(0, separator), device: line.slice(separator + 2) }
  })
  pairs.sort((left, right) => left.mountPoint.length - right.mountPoint.length)
  const byDevice = new Map<string, string>()
  for (const { mountPoint, device } of pairs) {
    try {
      await appliance.run('mount', device, mountPoint)
    } catch (error) {
      if (mountPoint === '/') {
        throw new PermanentError(`Cannot mount the guest's root file system ${device}: ${errorMessage(error)}. Run a file system check on the source`, {
          cause: error,
        })
      }
      continue
    }
    byDevice.set(device, mountPoint)
  }
  return byDevice
}

async function readFileSystems(appliance: Appliance, mounted: Map<string, string>): Promise<FileSystem[]> {
  const found: FileSystem[] = []
  for (const line of await appliance.lines('list-filesystems')) {
    const separator = line.indexOf(': ')
    const device = line.slice(0, separator)
    const type = line.slice(separator + 2)
    if (type === 'unknown') continue
    const uuid = await appliance.run('vfs-uuid', device)
    const label = await appliance.run('vfs-label', device)
    const mountPoint = mounted.get(device)
    found.push({ device, type, uuid: uuid.trim(), label: label.trim(), ...(mountPoint === undefined ? {} : { mountPoint }) })
  }
  return found
}

/** Which of the drivers a kernel cannot load before its root file system is there. */
async function missingDrivers(appliance: Appliance, version: string, initramfsPath: string | undefined, wanted: readonly string[]): Promise<string[] | undefined> {
  const builtIn = (await appliance.text(`/lib/modules/${version}/modules.builtin`)) ?? ''
  const open = wanted.filter((driver) => !hasModule(builtIn.split('\n'), driver))
  if (open.length === 0) return []
  if (initramfsPath === undefined) return open
  try {
    const paths = initramfsPaths(await appliance.bytes(initramfsPath))
    return open.filter((driver) => !hasModule(paths, driver))
  } catch (error) {
    if (error instanceof UnreadableInitramfsError) return undefined
    throw error
  }
}

/** Kernel modules are files named after them, with `-` and `_` as the same, perhaps packed. */
function hasModule(paths: readonly string[], driver: string): boolean {
  const pattern = new RegExp(`(^|/)${driver.replaceAll(/[_-]/g, '[_-]')}\\.ko(\\.[a-z0-9]+)?$`)
  return paths.some((path) => pattern.test(path))
}

async function readKernels(appliance: Appliance, target: TargetHardware): Promise<Kernel[]> {
  if (!(await appliance.asks('is-dir', '/lib/modules', 'followsymlinks:true'))) return []
  const bootFiles = await appliance.lines('ls', '/boot')
  const kernels: Kernel[] = []
  for (const version of await appliance.lines('ls', '/lib/modules')) {
    if (!bootFiles.includes(`vmlinuz-${version}`)) continue
    const initramfs = [`initrd.img-${version}`, `initramfs-${version}.img`, `initrd-${version}`].find((name) => bootFiles.includes(name))
    const initramfsPath = initramfs === undefined ? undefined : `/boot/${initramfs}`
    const missing = await missingDrivers(appliance, version, initramfsPath, target.diskDrivers)
    kernels.push({
      version,
      ...(initramfsPath === undefined ? {} : { initramfsPath }),
      ...(missing === undefined ? {} : { missingDrivers: missing }),
    })
  }
  return kernels
}

async function readFiles(appliance: Appliance, patterns: readonly string[]): Promise<GuestFile[]> {
  const files: GuestFile[] = []
  for (const pattern of patterns) {
    const paths = pattern.includes('*') ? await appliance.lines('glob-expand', pattern) : [pattern]
    for (const path of paths) {
      const text = await appliance.text(path)
      if (text !== undefined) files.push({ path, text })
    }
  }
  return files
}

/** The network stack in charge: the most particular one that has something configured. */
function findNetworkStack(files: readonly GuestFile[], hasNetworkManager: boolean): NetworkStack {
  const has = (prefix: string): boolean => files.some(({ path }) => path.startsWith(prefix))
  if (has('/etc/netplan/')) return 'netplan'
  if (has('/etc/sysconfig/network-scripts/')) return hasNetworkManager ? 'NetworkManager' : 'network-scripts'
  if (hasNetworkManager) return 'NetworkManager'
  if (files.some(({ path, text }) => path.startsWith('/etc/network/') && /^\s*iface\s+(?!lo\b)/m.test(text))) return 'ifupdown'
  if (has('/etc/systemd/network/')) return 'systemd-networkd'
  return has('/etc/network/interfaces') ? 'ifupdown' : 'unknown'
}

async function readEfi(appliance: Appliance): Promise<Guest['efi']> {
  const folder = '/boot/efi/EFI'
  if (!(await appliance.asks('is-dir', folder))) return undefined
  const loaders = (await appliance.lines('find', folder)).map((path) => `${folder}${path.startsWith('/') ? '' : '/'}${path}`)
  const programs = loaders.filter((path) => path.toLowerCase().endsWith('.efi'))
  return { loaders: programs, hasFallback: programs.some((path) => path.toLowerCase().endsWith('/efi/boot/bootx64.efi')) }
}

/**
 * Inspects the guest and leaves its file systems mounted.
 * @throws PermanentError with a verdict when there is no guest here that can be converted; nothing has been written then.
 */
export async function inspect(appliance: Appliance, target: TargetHardware): Promise<Guest> {
  const root = await findRoot(appliance)
  const get = async (what: string): Promise<string> => (await appliance.run(`inspect-get-${what}`, root)).trim()
  const family = await get('type')
  const productName = `${await get('distro')} ${await get('product-name')}`.trim()
  if (family !== 'linux') {
    throw new PermanentError(`The guest is ${productName} (${family}): this version converts Linux only`)
  }
  const architecture = await get('arch')
  if (architecture !== 'x86_64') {
    throw new PermanentError(`The guest's programs are for ${architecture}: the target runs x86_64 only`)
  }
  const mounted = await mountAll(appliance, root)
  const loaderFile = await findBootLoader(appliance)
  const files = await readFiles(appliance, [...filesOfInterest, ...(loaderFile === undefined ? [] : [loaderFile.path])])
  const efi = await readEfi(appliance)
  const present: string[] = []
  for (const path of agentPaths) if (await appliance.asks('exists', path)) present.push(path)
  const selinux = await appliance.text('/etc/selinux/config')
  return {
    family,
    distribution: await get('distro'),
    productName,
    version: `${await get('major-version')}.${await get('minor-version')}`,
    architecture,
    hostname: await get('hostname'),
    rootDevice: root,
    fileSystems: await readFileSystems(appliance, mounted),
    firmware: efi === undefined ? 'BIOS' : 'UEFI',
    bootLoader: loaderFile?.loader ?? 'unknown',
    kernels: await readKernels(appliance, target),
    networkStack: findNetworkStack(files, await appliance.asks('is-file', '/usr/sbin/NetworkManager')),
    agentPaths: present,
    hasSelinux: /^\s*SELINUX=(enforcing|permissive)/m.test(selinux ?? ''),
    files,
    ...(efi === undefined ? {} : { efi }),
  }
}

async function findBootLoader(appliance: Appliance): Promise<{ path: string; loader: BootLoader } | undefined> {
  for (const candidate of bootLoaderFiles) if (await appliance.asks('is-file', candidate.path)) return candidate
  return undefined
}
