/**
 * Machines as text: what `/proc`, `/sys` and `/etc` hold on a few kinds of server, for tests of the inventory.
 * @module
 */
import type { PathFacts, SystemFiles } from '../../../agent/inventory/system_files.ts'

/** Files by path; a value that begins with `→ ` is a symbolic link to an absolute path. */
export type Tree = Record<string, string>

const linkMark = '→ '

/** {@link SystemFiles} over a {@link Tree}; links in the middle of a path are followed too. */
export function treeFiles(tree: Tree, facts: Record<string, PathFacts> = {}): SystemFiles {
  const paths = Object.keys(tree)
  const isFolder = (path: string) => paths.some((other) => other.startsWith(`${path}/`))
  const resolve = (path: string, depth = 0): string => {
    if (depth > 40) throw new Error(`Links go round at ${path}`)
    const parts = path.split('/')
    for (let count = 1; count <= parts.length; count++) {
      const head = parts.slice(0, count).join('/')
      const value = tree[head]
      if (value?.startsWith(linkMark) === true) {
        return resolve([value.slice(linkMark.length), ...parts.slice(count)].join('/'), depth + 1)
      }
    }
    return path
  }
  const exists = (path: string) => tree[path] !== undefined || isFolder(path)
  return {
    readText: (path) => Promise.resolve(tree[resolve(path)]?.trim()),
    list: (path) => {
      const folder = `${resolve(path)}/`
      const names = paths
        .filter((other) => other.startsWith(folder))
        .map((other) => other.slice(folder.length).split('/')[0] ?? '')
      return Promise.resolve([...new Set(names)].sort())
    },
    realPath: (path) => {
      const real = resolve(path)
      return Promise.resolve(exists(real) || facts[real] !== undefined ? real : undefined)
    },
    facts: (path) => Promise.resolve(facts[resolve(path)]),
    inode: (path) => Promise.resolve(exists(resolve(path)) ? '77' : undefined),
  }
}

/** A disk in `/sys`: kernel name, place among devices, device number, size in sectors, more files of its folder. */
export function diskFiles(
  name: string,
  place: string,
  number: string,
  sectors: number,
  more: Tree = {},
): Tree {
  const folder = `/sys/devices/${place}/block/${name}`
  const entries = Object.entries(more).map(([file, text]) => [`${folder}/${file}`, text])
  return {
    [`/sys/block/${name}`]: `${linkMark}${folder}`,
    [`/sys/class/block/${name}`]: `${linkMark}${folder}`,
    [`/sys/dev/block/${number}`]: `${linkMark}${folder}`,
    [`${folder}/size`]: `${sectors}\n`,
    [`${folder}/dev`]: `${number}\n`,
    [`${folder}/removable`]: '0\n',
    [`/dev/${name}`]: `device ${number}`,
    ...Object.fromEntries(entries),
  }
}

/** A partition of such a disk. */
export function partitionFiles(disk: string, place: string, name: string, number: string): Tree {
  const folder = `/sys/devices/${place}/block/${disk}/${name}`
  return {
    [`/sys/class/block/${name}`]: `${linkMark}${folder}`,
    [`/sys/dev/block/${number}`]: `${linkMark}${folder}`,
    [`${folder}/partition`]: '1\n',
    [`/dev/${name}`]: `device ${number}`,
  }
}

/** A device-mapper device over others. */
export function mapperFiles(
  name: string,
  number: string,
  sectors: number,
  mapped: string,
  uuid: string,
  slaves: string[],
): Tree {
  const folder = `/sys/devices/virtual/block/${name}`
  return {
    ...diskFiles(name, 'virtual', number, sectors, { 'dm/name': mapped, 'dm/uuid': uuid }),
    ...Object.fromEntries(
      slaves.map((slave) => [`${folder}/slaves/${slave}`, `${linkMark}/sys/class/block/${slave}`]),
    ),
    [`/dev/mapper/${mapped}`]: `${linkMark}/dev/${name}`,
  }
}

const debianRelease = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
ID=debian
`

/** Debian 12 on KVM: one virtio disk, ext4 root on its first partition, BIOS, an empty CD drive, unused loop devices. */
export const debian: Tree = {
  ...diskFiles('vda', 'pci0000:00/0000:00:05.0/virtio2', '254:0', 41_943_040, { serial: 'disk-of-web-1' }),
  ...partitionFiles('vda', 'pci0000:00/0000:00:05.0/virtio2', 'vda1', '254:1'),
  ...diskFiles('sr0', 'pci0000:00/0000:00:01.1/ata2', '11:0', 0),
  ...diskFiles('loop0', 'virtual', '7:0', 0),
  '/proc/self/mountinfo': `22 27 0:21 / /proc rw - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
40 27 254:1 /srv /mnt/same\\040again rw,relatime - ext4 /dev/vda1 rw
`,
  '/etc/os-release': debianRelease,
  '/etc/hosts': '127.0.0.1 localhost\n127.0.1.1 web-1.example.net web-1\n',
  '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  '/proc/sys/kernel/osrelease': '6.1.0-40-amd64\n',
  '/proc/cpuinfo': [0, 1]
    .map(
      (cpu) => `processor\t: ${cpu}\nmodel name\t: AMD EPYC  7B13\nphysical id\t: ${cpu}\ncpu cores\t: 1\n`,
    )
    .join('\n'),
  '/proc/meminfo': 'MemTotal:        2030520 kB\nMemFree:          100000 kB\n',
  '/sys/firmware/acpi/x': '',
  '/sys/class/net/lo/address': '00:00:00:00:00:00\n',
  '/sys/class/net/eth0/address': '52:54:00:12:34:56\n',
  '/sys/class/net/docker0/address': '02:42:00:00:00:01\n',
  '/proc/net/route':
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\neth0\t00000000\t0100000A\t0003\t0\t0\t100\n',
}

const scsi = 'pci0000:00/0000:00:10.0/host2/target2:0'

/** RHEL 9 on VMware: UEFI, /boot on a partition, root and /var on LVM over two disks, an iSCSI disk, a USB stick. */
export const rhel: Tree = {
  ...diskFiles('sda', `${scsi}:0/2:0:0:0`, '8:0', 209_715_200, { 'device/wwid': 'naa.6000c29a11111111' }),
  ...partitionFiles('sda', `${scsi}:0/2:0:0:0`, 'sda1', '8:1'),
  ...partitionFiles('sda', `${scsi}:0/2:0:0:0`, 'sda2', '8:2'),
  ...partitionFiles('sda', `${scsi}:0/2:0:0:0`, 'sda3', '8:3'),
  ...diskFiles('sdb', `${scsi}:1/2:0:1:0`, '8:16', 419_430_400, { 'device/wwid': 'naa.6000c29a22222222' }),
  ...diskFiles('sdc', 'platform/host4/session1/target4:0:0/4:0:0:0', '8:32', 1_000_000),
  ...diskFiles(
    'sdd',
    'pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host5/target5:0:0/5:0:0:0',
    '8:48',
    60_000_000,
  ),
  ...mapperFiles('dm-0', '253:0', 100_000_000, 'rhel-root', 'LVM-abcdef', ['sda3', 'sdb']),
  ...mapperFiles('dm-1', '253:1', 100_000_000, 'rhel-var', 'LVM-ghijkl', ['sdb']),
  '/proc/self/mountinfo': `30 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/rhel-root rw
31 30 8:2 / /boot rw,relatime - xfs /dev/sda2 rw
32 31 8:1 / /boot/efi rw,relatime - vfat /dev/sda1 rw
33 30 253:1 / /var rw,relatime - xfs /dev/mapper/rhel-var rw
34 30 11:0 / /mnt/cd ro,relatime - iso9660 /dev/sr0 ro
`,
  '/etc/os-release': 'NAME="Red Hat Enterprise Linux"\nPRETTY_NAME="Red Hat Enterprise Linux 9.4 (Plow)"\n',
  '/sys/firmware/efi/fw_platform_size': '64\n',
  '/sys/class/dmi/id/sys_vendor': 'VMware, Inc.\n',
  '/sys/class/dmi/id/product_uuid': '4c4c4544-0042-3510-8052-b4c04f564831\n',
  '/proc/cpuinfo': [0, 1, 2, 3]
    .map(
      (cpu) =>
        `processor\t: ${cpu}\nmodel name\t: Intel(R) Xeon(R) Gold 6248\nphysical id\t: 0\ncpu cores\t: 4\n`,
    )
    .join('\n'),
}

/** An EC2 instance: NVMe disks, one of them reached over TCP, one hidden path. */
export const ec2: Tree = {
  ...diskFiles('nvme0n1', 'pci0000:00/0000:00:04.0/nvme/nvme0', '259:0', 16_777_216, {
    wwid: 'nvme.1d0f-766f6c3031-1',
    'device/transport': 'pcie',
  }),
  ...partitionFiles('nvme0n1', 'pci0000:00/0000:00:04.0/nvme/nvme0', 'nvme0n1p1', '259:1'),
  ...diskFiles('nvme1n1', 'virtual/nvme-fabrics/ctl/nvme1', '259:2', 16_777_216, {
    'device/transport': 'tcp',
  }),
  ...diskFiles('nvme0c0n1', 'pci0000:00/0000:00:04.0/nvme/nvme0/x', '259:9', 16_777_216, { hidden: '1' }),
  '/proc/self/mountinfo': '30 1 259:1 / / rw - ext4 /dev/root rw\n',
  '/sys/class/dmi/id/sys_vendor': 'Amazon EC2\n',
  '/sys/class/dmi/id/board_asset_tag': 'i-0123456789abcdef0\n',
}

/** A multipath disk under LVM: two paths, one disk. */
export const multipath: Tree = {
  ...diskFiles('sda', 'pci0000:00/0000:05:00.0/host7/rport-7:0-2/target7:0:0/7:0:0:1', '8:0', 2_000_000, {
    'holders/dm-0': '',
  }),
  ...diskFiles('sdb', 'pci0000:00/0000:05:00.1/host8/rport-8:0-2/target8:0:0/8:0:0:1', '8:16', 2_000_000, {
    'holders/dm-0': '',
  }),
  ...mapperFiles('dm-0', '253:0', 2_000_000, 'mpatha', 'mpath-3600a0b80', ['sda', 'sdb']),
  ...mapperFiles('dm-1', '253:1', 1_000_000, 'vg-root', 'LVM-xyz', ['dm-0']),
  '/proc/self/mountinfo': '30 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n',
}

/** A root on btrfs over two disks. */
export const btrfs: Tree = {
  ...diskFiles('vda', 'pci/virtio1', '254:0', 2_000_000),
  ...diskFiles('vdb', 'pci/virtio2', '254:16', 2_000_000),
  '/proc/self/mountinfo':
    '30 1 0:25 /@ / rw - btrfs /dev/vda rw,subvol=/@\n31 30 0:25 /@home /home rw - btrfs /dev/vda rw\n',
  '/sys/fs/btrfs/1b2c/devices/vda': '',
  '/sys/fs/btrfs/1b2c/devices/vdb': '',
  '/sys/fs/btrfs/features/x': '',
}

/** 70 disks, the last one boots. */
export function manyDisks(): Tree {
  const tree: Tree = { '/proc/self/mountinfo': '30 1 254:1104 / / rw - ext4 /dev/d69 rw\n' }
  for (let index = 0; index < 70; index++)
    Object.assign(tree, diskFiles(`d${index}`, `pci/virtio${index}`, `254:${index * 16}`, 2048))
  return tree
}
