/**
 * Whether anything may still write to the machine's disks, when it goes down and all programs have ended. What is not known to be harmless counts as
 * writing.
 * @module
 */
import type { SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import { otherShutdownProgram } from './shutdown_programs.ts'

/** File systems that write to no disk of this machine. */
const harmless = new Set(
  (
    'proc sysfs tmpfs devtmpfs devpts ramfs rootfs cgroup cgroup2 securityfs debugfs tracefs configfs pstore efivarfs bpf mqueue ' +
    'hugetlbfs fusectl binfmt_misc autofs rpc_pipefs selinuxfs nsfs nfs nfs4 cifs squashfs iso9660'
  ).split(' '),
)

/** What device-mapper does without writing anything of its own. */
const harmlessTargets = new Set(['linear', 'striped', 'crypt', 'multipath', 'error', 'zero'])

/** Devices of drivers that write when they like: RAID, caches, replication, ZFS. An array may have a name, such as `md_home`. */
const writingDevices = /^(md|(bcache|drbd|zd|rbd)\d)/

/** By its name in `/sys/kernel`: a kernel that is started past the boot loader. */
const loadedKernels = {
  kexec_loaded: 'a kernel is loaded that may be started without the boot loader',
  kexec_crash_loaded: 'a kernel is loaded that writes a dump when this one crashes on its way down (kdump)',
}

/** Why something may still write; undefined when nothing does. */
export async function stillWriting(files: SystemFiles, run: CommandRunner): Promise<string | undefined> {
  const swaps = ((await files.readText('/proc/swaps')) ?? '').split('\n').slice(1)
  if (swaps.some((line) => line.trim() !== '')) return `swap is on (${swaps[0] ?? ''})`
  return (
    (await loadedKernel(files)) ??
    (await otherShutdownProgram(files)) ??
    (await writableMount(files)) ??
    (await hiddenFileSystem(files)) ??
    (await writingDriver(files)) ??
    (await writingMapping(files, run)) ??
    (await exportedDisk(files))
  )
}

async function loadedKernel(files: SystemFiles): Promise<string | undefined> {
  for (const [name, reason] of Object.entries(loadedKernels)) {
    const loaded = await files.readText(`/sys/kernel/${name}`)
    // There is none where the kernel cannot start another one.
    if (loaded !== undefined && loaded !== '0') return reason
  }
  return undefined
}

interface Mount {
  device: string
  mountPoint: string
  type: string
  isWritable: boolean
}

/** The lines of `mountinfo`. What counts is the file system's own mode: a mount may be read-only where its file system is not. */
export function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [own = '', ofSuper = ''] = line.split(' - ', 2)
    const [, , device = '', , mountPoint = ''] = own.split(' ')
    const [type = '', , options = ''] = ofSuper.split(' ')
    mounts.push({ device, mountPoint, type, isWritable: !options.split(',').includes('ro') })
  }
  return mounts
}

async function mountsOf(files: SystemFiles): Promise<Mount[]> {
  const text = await files.readText('/proc/self/mountinfo')
  if (text === undefined) throw new Error('nobody can say what is mounted')
  return parseMounts(text)
}

async function writableMount(files: SystemFiles): Promise<string | undefined> {
  const mount = (await mountsOf(files)).find(({ type, isWritable }) => isWritable && !harmless.has(type))
  return mount === undefined ? undefined : `${mount.mountPoint} (${mount.type}) can still be written to`
}

/** File systems live on after they were unmounted while anybody uses them. */
async function hiddenFileSystem(files: SystemFiles): Promise<string | undefined> {
  const known = new Set<string>()
  for (const { device } of await mountsOf(files)) {
    const folder = await files.realPath(`/sys/dev/block/${device}`)
    if (folder !== undefined) known.add(folder.slice(folder.lastIndexOf('/') + 1))
  }
  const devices = new Set([...(await files.list('/sys/class/block'))])
  for (const type of ['ext4', 'xfs', 'f2fs'])
    for (const name of await files.list(`/sys/fs/${type}`))
      if (devices.has(name) && !known.has(name)) return `the ${type} of ${name} is unmounted and still in use`
  // These have no one device, and pools are in use without any mount.
  for (const type of ['btrfs', 'bcachefs'])
    for (const name of await files.list(`/sys/fs/${type}`))
      if (/^[0-9a-f]{8}-/.test(name)) return `the ${type} ${name} is in use`
  for (const name of await files.list('/proc/spl/kstat/zfs'))
    if ((await files.readText(`/proc/spl/kstat/zfs/${name}/state`)) !== undefined)
      return `the ZFS pool ${name} is in use`
  return undefined
}

async function writingDriver(files: SystemFiles): Promise<string | undefined> {
  for (const name of await files.list('/sys/block'))
    if (writingDevices.test(name) && (await files.readText(`/sys/block/${name}/size`)) !== '0')
      return `${name} may write when it likes`
  return undefined
}

async function writingMapping(files: SystemFiles, run: CommandRunner): Promise<string | undefined> {
  if (!(await files.list('/sys/block')).some((name) => name.startsWith('dm-'))) return undefined
  const table = await run('dmsetup', ['table'])
  for (const line of table.split('\n').filter((text) => text.trim() !== '')) {
    const [name = '', target = ''] = /^(.*?): \d+ \d+ (\S+)/.exec(line)?.slice(1) ?? []
    if (!harmlessTargets.has(target)) return `device-mapper's ${name} (${target}) may write when it likes`
  }
  return undefined
}

/** Disks that this machine gives to others, who go on writing. */
async function exportedDisk(files: SystemFiles): Promise<string | undefined> {
  const exports = (await files.list('/sys/kernel/config/target/core')).filter((name) =>
    /^(iblock|pscsi|fileio)_/.test(name),
  )
  const spaces = await files.list('/sys/kernel/config/nvmet/subsystems')
  return exports.length + spaces.length === 0
    ? undefined
    : 'disks of this machine are given to others over the network'
}
