/**
 * Processors, memory, operating system, firmware and the identifiers that tell one machine from another.
 * @module
 */
import type { SourceProperties } from '../../domain/source_server.ts'
import type { SystemFiles } from './system_files.ts'

/** One entry per processor socket, out of `/proc/cpuinfo`. */
export function parseCpus(text: string): SourceProperties['cpus'] {
  const sockets = new Map<string, { cores: number; modelName: string; processors: number }>()
  for (const section of text.split(/\n\s*\n/)) {
    const fields = new Map(
      section.split('\n').map((line) => line.split(/\s*:\s*/, 2) as [string, string | undefined]),
    )
    if (!fields.has('processor')) continue
    const modelName = fields.get('model name') ?? fields.get('Processor') ?? 'Unknown processor'
    const socket = sockets.get(fields.get('physical id') ?? '0') ?? { cores: 0, modelName, processors: 0 }
    socket.processors += 1
    socket.cores = Number(fields.get('cpu cores') ?? 0)
    sockets.set(fields.get('physical id') ?? '0', socket)
  }
  return [...sockets.values()].map(({ cores, modelName, processors }) => ({
    // Some virtual machines report fewer cores than processors they run; what runs counts.
    cores: Math.max(1, cores > 0 ? cores : processors),
    modelName: modelName.replaceAll(/\s+/g, ' ').slice(0, 400),
  }))
}

/** Total memory in bytes out of `/proc/meminfo`; 0 when it does not say. */
export function parseMemoryBytes(text: string): number {
  return Number(/^MemTotal:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
}

/** One value of `/etc/os-release`, quotes removed. */
export function osReleaseValue(text: string, key: string): string | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${key}=`))
  return line
    ?.slice(key.length + 1)
    .replaceAll(/^["']|["']$/g, '')
    .replaceAll(/\\(.)/g, '$1')
}

/** The operating system as its distribution names it, with the running kernel. */
export async function readOs(files: SystemFiles): Promise<SourceProperties['os']> {
  const release =
    (await files.readText('/etc/os-release')) ?? (await files.readText('/usr/lib/os-release')) ?? ''
  const name =
    osReleaseValue(release, 'PRETTY_NAME') ?? (await files.readText('/etc/redhat-release')) ?? 'Linux'
  const kernel = await files.readText('/proc/sys/kernel/osrelease')
  return {
    fullString: (kernel === undefined ? name : `${name} (kernel ${kernel})`).slice(0, 400),
    family: 'linux',
  }
}

/** UEFI leaves a folder; its lack means BIOS. */
export async function readFirmware(files: SystemFiles): Promise<SourceProperties['firmware']> {
  if ((await files.list('/sys/firmware')).length === 0) return 'UNKNOWN'
  return (await files.realPath('/sys/firmware/efi')) === undefined ? 'BIOS' : 'UEFI'
}

/** Host name with its domain, out of `/etc/hosts`; the host name alone when no domain is written down. Nothing is looked up on the network. */
export function fullyQualifiedName(hostname: string, hosts: string): string {
  if (hostname.includes('.')) return hostname
  for (const line of hosts.split('\n')) {
    const [, ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/)
    if (!names.includes(hostname)) continue
    const full = names.find((name) => name.startsWith(`${hostname}.`) && name !== `${hostname}.localdomain`)
    if (full !== undefined) return full
  }
  return hostname
}

/** Host name and every identifier the machine itself can tell. */
export async function readIdentity(
  files: SystemFiles,
  hostname: string,
): Promise<SourceProperties['identificationHints']> {
  const dmi = (name: string) => files.readText(`/sys/class/dmi/id/${name}`)
  const vendor = `${(await dmi('sys_vendor')) ?? ''} ${(await dmi('bios_vendor')) ?? ''}`
  const productUuid = await dmi('product_uuid')
  const assetTag = await dmi('board_asset_tag')
  const machineId = await files.readText('/etc/machine-id')
  const isEc2Instance = vendor.includes('Amazon') && /^i-[0-9a-f]{8,17}$/.test(assetTag ?? '')
  return {
    hostname: hostname.slice(0, 255),
    fqdn: fullyQualifiedName(hostname, (await files.readText('/etc/hosts')) ?? '').slice(0, 255),
    ...(vendor.includes('VMware') && productUuid !== undefined
      ? { vmWareUuid: productUuid.slice(0, 64) }
      : {}),
    ...(isEc2Instance && assetTag !== undefined ? { awsInstanceId: assetTag } : {}),
    ...(machineId === undefined || machineId === '' ? {} : { machineId: machineId.slice(0, 64) }),
  }
}

/** Identifies this boot of the machine: changes with every boot. */
export async function readBootId(files: SystemFiles): Promise<string> {
  return ((await files.readText('/proc/sys/kernel/random/boot_id')) ?? 'unknown').slice(0, 64)
}
