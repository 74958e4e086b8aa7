/**
 * A start of the appliance that does only what conversion needs. libguestfs's own starts udev and looks for every kind of storage there is,
 * which without hardware virtualization takes twice as long as all the rest of a conversion.
 * @module
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** The part of libguestfs's supply from which it builds its appliance that holds the first program. */
const initArchive = 'init.tar.gz'

/**
 * The appliance's first program. Its daemon takes the order of the disks from the names in /dev/disk/by-path, waits for udev where a
 * device may come or go, and inherits LVM's settings.
 */
const init = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin LVM_SYSTEM_DIR=/tmp/lvm MDADM_NO_UDEV=1
mkdir -p /proc /sys /run /sysroot /tmp/lvm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o nosuid,mode=0755 run /run
mkdir -p /dev/disk/by-path
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /etc/mtab ] || ln -s /proc/mounts /etc/mtab
for disk in /sys/block/sd*; do
  address=$(readlink "$disk/device")
  ln -s "../../\${disk##*/}" "/dev/disk/by-path/scsi-\${address##*/}"
  echo 300 >"$disk/device/timeout"
done
mount --bind /bin/true "$(command -v udevadm)"
cat >/tmp/lvm/lvm.conf <<'X'
devices { use_devicesfile = 0 obtain_device_list_from_udev = 0 }
activation { udev_sync = 0 udev_rules = 0 }
X
types=$(blkid -o value -s TYPE)
case $types in *linux_raid_member*)
  mdadm --assemble --scan --run
  types=$(blkid -o value -s TYPE) ;;
esac
case $types in *LVM2_member*)
  modprobe dm_mod
  lvm vgchange --activate y --sysinit ;;
esac
case $types in *btrfs*) btrfs device scan ;; esac
for port in /sys/class/virtio-ports/*; do
  read -r name <"$port/name"
  [ "$name" != org.libguestfs.channel.0 ] || guestfsd --channel "/dev/\${port##*/}"
done
sync
reboot -f
`

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/**
 * A supply like libguestfs's own with this start in it, below `cacheDir`, from which libguestfs builds its appliance when it is told the
 * path. Made once; several processes may make it at the same time.
 * @param path where libguestfs looks for its supply; folders with colons between them.
 * @returns the folder; undefined when libguestfs comes with a finished appliance instead, whose start cannot be replaced.
 */
export async function shortStart(path: string, cacheDir: string): Promise<string | undefined> {
  for (const folder of path.split(':')) {
    const supply = join(folder, 'supermin.d')
    if (!(await exists(join(supply, initArchive)))) continue
    const name = createHash('sha256').update(`${init}\n${supply}`).digest('hex').slice(0, 16)
    const own = join(cacheDir, `short-start-${name}`)
    if (!(await exists(own))) await makeSupply(supply, own)
    return own
  }
  return undefined
}

async function makeSupply(supply: string, own: string): Promise<void> {
  await mkdir(dirname(own), { recursive: true, mode: 0o700 })
  const unfinished = await mkdtemp(`${own}.`)
  try {
    const folder = join(unfinished, 'supermin.d')
    await mkdir(folder)
    for (const name of await readdir(supply)) {
      if (name !== initArchive) await symlink(join(supply, name), join(folder, name))
    }
    await writeFile(join(unfinished, 'init'), init, { mode: 0o755 })
    const archive = join(folder, initArchive)
    await run('tar', ['--owner=0', '--group=0', '-C', unfinished, '-czf', archive, 'init'])
    await rename(unfinished, own)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    // Another process was faster.
    if (!(await exists(own))) throw error
  }
}
