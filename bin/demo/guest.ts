/**
 * Builds the demonstration's source server: a real Debian with GRUB, as a raw disk image. Needs root and mmdebstrap; this host
 * sees no mount of it and no loop device.
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'
import { execFile } from 'node:child_process'
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { unlessMissing } from '../../cloud/qemu/files.ts'
import { installDebian } from './debian_tree.ts'
import { guestFiles, guestPackages } from './guest_files.ts'

const run = promisify(execFile)

/** What to build, and where. */
export interface GuestSpec {
  /** The image; an existing one is replaced. */
  path: string
  /** Where finished guests are kept from one run to the next. */
  cacheDir: string
  workDir: string
  sizeBytes: number
  /** Of the files that it serves beside its system. */
  dataBytes: number
  hostname: string
  /** Build anew instead of taking the one of earlier today. */
  isFresh: boolean
  log: (line: string) => void
  signal: AbortSignal
}

const dataFileBytes = 8_000_000
/** Raised when something changes that the files do not show, so that cached guests are built anew. */
const recipeVersion = 5
const networkd = '/lib/systemd/system/systemd-networkd.service'
const maxAgeMs = 86_400_000
/** Files of the cache that are made here. */
const guestPattern = /^guest-[0-9a-f]{16}\.raw(\.building)?$/
const partitionOffsetBytes = 1024 ** 2
const sectorBytes = 512
/** Folders of /usr/share that a server does its work without: an emulated processor would have to read, hash and send them. */
const unread = ['doc', 'man', 'locale', 'i18n', 'zoneinfo']
/**
 * The initial RAM disk is made quickly rather than small, and once: the kernel's package makes it, and the update that
 * initramfs-tools asks for at the end of the same installation would make it again.
 */
const initramfsSettings = [
  'mkdir -p "$1/etc/initramfs-tools/conf.d"',
  'echo COMPRESS=gzip >"$1/etc/initramfs-tools/conf.d/compress"',
  'echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"',
].join(' && ')
/** Parts of GRUB that read this disk before GRUB can load anything. */
const grubModules = [
  'biosdisk',
  'part_msdos',
  'ext2',
  'normal',
  'linux',
  'configfile',
  'serial',
  'terminal',
  'echo',
  'test',
  'search',
]

/** The guest, copied to `spec.path`. @throws Error with the tool's last words when a step fails. */
export async function buildGuest(spec: GuestSpec): Promise<string> {
  const recipe = JSON.stringify([
    recipeVersion,
    guestFiles(spec.hostname),
    guestPackages,
    spec.sizeBytes,
    spec.dataBytes,
  ])
  const cached = join(
    spec.cacheDir,
    `guest-${createHash('sha256').update(recipe).digest('hex').slice(0, 16)}.raw`,
  )
  await mkdir(spec.cacheDir, { recursive: true })
  await mkdir(dirname(spec.path), { recursive: true })
  const age = await stat(cached).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => Infinity,
  )
  if (spec.isFresh || age > maxAgeMs) {
    await build(spec, cached)
    await removeOldGuests(spec.cacheDir, Date.now())
  } else spec.log('  the one built earlier is still good')
  await run('cp', ['--reflink=auto', '--sparse=always', cached, spec.path], { signal: spec.signal })
  return spec.path
}

/**
 * Removes guests that nobody takes any more, such as those of older recipes, each some gigabytes, and what builds have left that were
 * killed. Younger ones are other demonstrations' or the benchmark's.
 */
export async function removeOldGuests(cacheDir: string, nowMs: number): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!guestPattern.test(name)) continue
    const path = join(cacheDir, name)
    // Another demonstration may remove it at the same time.
    const stats = await unlessMissing(stat(path))
    if (stats !== undefined && nowMs - stats.mtimeMs > maxAgeMs) await rm(path, { force: true })
  }
}

async function build(spec: GuestSpec, target: string): Promise<void> {
  const root = join(spec.workDir, 'guest-root')
  const image = `${target}.building`
  try {
    await rm(root, { recursive: true, force: true })
    await bootstrap(spec, root)
    await furnish(spec, root)
    await makeDisk(spec, root, image)
    await rename(image, target)
  } finally {
    await rm(root, { recursive: true, force: true })
    await rm(image, { force: true })
  }
}

/** Installs Debian into a folder. */
async function bootstrap(spec: GuestSpec, root: string): Promise<void> {
  spec.log('  installing Debian into a folder')
  await mkdir(spec.workDir, { recursive: true })
  await installDebian({
    root,
    logFile: join(spec.workDir, 'mmdebstrap.log'),
    signal: spec.signal,
    args: [
      ...['--variant=apt', `--include=${guestPackages.join(',')}`],
      ...['--aptopt=Acquire::Languages "none"', '--dpkgopt=force-unsafe-io', '--dpkgopt=force-confold'],
      ...unread.map((path) => `--dpkgopt=path-exclude=/usr/share/${path}/*`),
      // One /usr from the start: the package that would merge it afterwards brings all of Perl.
      '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
      `--essential-hook=${initramfsSettings}`,
    ],
  })
}

/** Puts files, services, users and data into the system. */
async function furnish(spec: GuestSpec, root: string): Promise<void> {
  spec.log('  adding services and data')
  for (const { path, text, mode } of guestFiles(spec.hostname)) {
    const full = join(root, path)
    await mkdir(dirname(full), { recursive: true })
    await writeFile(full, text)
    if (mode !== undefined) await chmod(full, mode)
  }
  for (const folder of ['/srv/markers', '/srv/writer', '/srv/data'])
    await mkdir(join(root, folder), { recursive: true })
  const wants = join(root, '/etc/systemd/system/multi-user.target.wants')
  await mkdir(wants, { recursive: true })
  for (const unit of [
    '/etc/systemd/system/demo-status.service',
    '/etc/systemd/system/demo-writer.service',
    networkd,
  ])
    await symlink(unit, join(wants, basename(unit)))
  await run('chroot', [root, 'useradd', '--create-home', '--shell', '/bin/bash', 'demo'], {
    signal: spec.signal,
  })
  await run('chroot', [root, 'sh', '-c', 'echo demo:demo | chpasswd'], { signal: spec.signal })
  await writeFile(join(root, '/etc/initramfs-tools/update-initramfs.conf'), 'update_initramfs=yes\n')
  // Every machine of its own: made at the first boot.
  await writeFile(join(root, '/etc/machine-id'), '')
  const manifest: string[] = []
  for (let written = 0; written < spec.dataBytes; written += dataFileBytes) {
    const name = `part-${String(written / dataFileBytes).padStart(3, '0')}`
    // Half random and half text, as real data is neither all noise nor all zeros.
    const half = dataFileBytes / 2
    const content = Buffer.concat([
      randomBytes(half),
      Buffer.alloc(half, `${name}: the quick brown fox jumps over the lazy dog\n`),
    ])
    manifest.push(`${createHash('sha256').update(content).digest('hex')}  ${name}`)
    await writeFile(join(root, '/srv/data', name), content)
  }
  await writeFile(join(root, '/srv/data/SHA256SUMS'), `${manifest.join('\n')}\n`)
}

/** One MBR partition with ext4 made from the folder, and GRUB in front of it. */
async function makeDisk(spec: GuestSpec, root: string, image: string): Promise<void> {
  spec.log('  making the disk')
  const modules = '/usr/lib/grub/i386-pc'
  await mkdir(join(root, '/boot/grub'), { recursive: true })
  await run('cp', ['-r', modules, join(root, '/boot/grub/')], { signal: spec.signal })
  const file = await open(image, 'w')
  await file.truncate(spec.sizeBytes)
  await file.close()
  const fileSystemKib = (spec.sizeBytes - partitionOffsetBytes) / 1024
  await run(
    'mkfs.ext4',
    // GRUB of this release cannot read these two features.
    [
      '-q',
      '-F',
      '-O',
      '^metadata_csum_seed,^orphan_file',
      '-E',
      `offset=${partitionOffsetBytes}`,
      '-d',
      root,
      image,
      `${fileSystemKib}k`,
    ],
    { signal: spec.signal },
  )
  const core = join(spec.workDir, 'core.img')
  await run('grub-mkimage', ['-O', 'i386-pc', '-o', core, '-p', '(hd0,msdos1)/boot/grub', ...grubModules], {
    signal: spec.signal,
  })
  await embedGrub(spec, image, await readFile(join(modules, 'boot.img')), await readFile(core))
  await rm(core)
}

/** Writes boot sector, partition table and GRUB's core into the gap before the partition, which is what grub-install does. */
async function embedGrub(spec: GuestSpec, image: string, bootSector: Buffer, core: Buffer): Promise<void> {
  if (core.length > partitionOffsetBytes - sectorBytes)
    throw new Error(`GRUB's core has ${core.length} bytes: too many for the gap`)
  const mbr = Buffer.alloc(sectorBytes)
  bootSector.copy(mbr, 0, 0, 440)
  mbr.writeUInt32LE(randomBytes(4).readUInt32LE(0), 440)
  const entry = 446
  mbr.writeUInt8(0x80, entry)
  mbr.writeUInt8(0x83, entry + 4)
  mbr.writeUInt32LE(partitionOffsetBytes / sectorBytes, entry + 8)
  mbr.writeUInt32LE((spec.sizeBytes - partitionOffsetBytes) / sectorBytes, entry + 12)
  mbr.writeUInt16LE(0xaa55, 510)
  const file = await open(image, 'r+')
  try {
    await file.write(mbr, 0, sectorBytes, 0)
    await file.write(core, 0, core.length, sectorBytes)
    await file.sync()
  } finally {
    await file.close()
  }
}
