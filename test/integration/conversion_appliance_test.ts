import { spawn, execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Appliance } from '../../conversion/appliance.ts'
import { convert } from '../../conversion/convert.ts'
import { findFileSystems, findRoot, mountGuest } from '../../conversion/file_systems.ts'
import { ApplianceError } from '../../conversion/guestfish.ts'
import { inspect } from '../../conversion/inspect.ts'
import { shortStart } from '../../conversion/short_start.ts'
import type { FileSystem } from '../../conversion/types.ts'
import { PermanentError } from '../../domain/errors.ts'
import { partition, place } from '../fixtures/guests.ts'
import { fileSystem, virtioTarget } from '../fixtures/guests_described.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../fixtures/seed.ts'
import { until } from '../fixtures/waiting.ts'

const run = promisify(execFile)
const mebibyte = 1024 ** 2
const launchMs = 900_000
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-appliance-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const settings = () => ({
  workDir: join(folder, 'work'),
  cacheDir: join(folder, 'cache'),
  accelerator: 'tcg' as const,
  environment: process.env,
})

async function emptyImage(name: string, sizeBytes = 16 * mebibyte): Promise<string> {
  const path = join(folder, name)
  const file = await open(path, 'w')
  await file.truncate(sizeBytes)
  await file.close()
  return path
}

/** An ext4 file system over the whole image with these files. */
async function imageOf(name: string, files: Record<string, string | Buffer>): Promise<string> {
  const path = await emptyImage(name)
  const root = join(folder, `${name}.root`)
  for (const [file, content] of Object.entries({ '/etc/.keep': '', ...files })) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), content)
  }
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', root, path])
  return path
}

/** An EFI system partition and a root whose fstab does not name it. */
async function unlistedEfi(release: string): Promise<string> {
  const path = join(folder, 'efi')
  await partition(path, 18, 'label: dos\nstart=1MiB, size=1MiB, type=ef\nstart=2MiB, size=16MiB, type=83\n')
  const efi = join(folder, 'efi.vfat')
  await run('mkfs.vfat', ['-C', efi, '1024'])
  await place(efi, path, 1)
  await place(await imageOf('efi.root', { '/etc/os-release': release, '/boot/efi/.keep': '' }), path, 2)
  return path
}

/** The first bytes of a program for a processor. */
function program(machine: number): Buffer {
  const header = Buffer.alloc(64)
  header.write('\u007fELF\u0002', 0, 'latin1')
  header.writeUInt16LE(machine, 18)
  return header
}

async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
    if (Number(pid) !== process.pid && (line.includes(text) || environment.includes(`=${text}`)))
      found.push(`${pid} ${line}`)
  }
  return found
}

describe('an appliance with many disks', () => {
  const release = 'ID=test\nPRETTY_NAME="Test Linux"\n'
  let appliance: Appliance
  let found: FileSystem[]
  /** What conversion says to a guest that consists of these disks. */
  const verdictOn = async (...indexes: number[]): Promise<string> => {
    const devices = indexes.map((index) => `/dev/sd${'abcdefgh'[index]}`)
    const own = found.filter(({ device }) => devices.some((disk) => device.startsWith(disk)))
    return findRoot(appliance, { fileSystems: own }).then(
      ({ device }) => `root on ${device}`,
      (error: unknown) => {
        expect(error).toBeInstanceOf(PermanentError)
        return (error as Error).message
      },
    )
  }

  beforeAll(async () => {
    const luks = await emptyImage('luks')
    const file = await open(luks, 'r+')
    await file.write(Buffer.from('LUKS\u00ba\u00be\u0000\u0001', 'latin1'), 0, 8, 0)
    await file.write(Buffer.from('0b7e6c1a-0001-4000-8000-000000000001'), 0, 36, 168)
    await file.close()
    const broken = await imageOf('broken', { '/etc/os-release': release })
    const spoiled = await open(broken, 'r+')
    // The group descriptors: the super block still says ext4, and nothing can be read.
    await spoiled.write(Buffer.alloc(3 * 1024, 0xff), 0, 3 * 1024, 2048)
    await spoiled.close()
    const paths = [
      await emptyImage('empty'),
      await imageOf('data', { '/readme': 'no system here' }),
      luks,
      await imageOf('first', { '/etc/os-release': release, '/bin/sh': program(62) }),
      await imageOf('second', { '/etc/os-release': release, '/bin/sh': program(183) }),
      broken,
      await unlistedEfi(release),
      await emptyImage('btrfs', 128 * mebibyte),
    ]
    const disks = paths.map((path) => ({ path, format: 'raw' as const, isBootDisk: path === paths[0] }))
    appliance = await Appliance.start(disks, settings(), new AbortController().signal, console.log)
    found = (await findFileSystems(appliance)).fileSystems
  }, launchMs)
  afterAll(() => appliance.stop())

  it('gives a verdict on disks without a system', async () => {
    expect(await verdictOn(0)).toBe(
      'Found no operating system on the disks (no file system): is the boot disk among the replicated disks?',
    )
    expect(await verdictOn(0, 1)).toContain('only /dev/sdb: ext4')
    expect(await verdictOn(2)).toBe(
      'The disks are encrypted (/dev/sdc: crypto_LUKS): Rehost cannot open them to prepare them for the target',
    )
    expect(await verdictOn(5)).toMatch(
      /^Found no operating system: \/dev\/sdf \(ext4\) cannot be mounted: .*Check the file system/,
    )
  })

  it('finds one system, and refuses two', async () => {
    expect(await verdictOn(0, 1, 3)).toBe('root on /dev/sdd')
    expect(await verdictOn(3, 4)).toContain('Found 2 operating systems (on /dev/sdd, /dev/sde)')
  })

  it('finds an EFI system partition that fstab does not name', async () => {
    const fileSystems = found.filter(({ device }) => device.startsWith('/dev/sdg'))
    const mounted = await mountGuest(
      appliance,
      { device: '/dev/sdg2' },
      { fileSystems, sourceDeviceNames: [] },
    )
    expect(mounted.warnings).toEqual([])
    expect(mounted.fileSystems).toMatchObject([
      { device: '/dev/sdg1', type: 'vfat', mountPoint: '/boot/efi' },
      { device: '/dev/sdg2', type: 'ext4', mountPoint: '/' },
    ])
    await appliance.run('umount-all')
  })

  it('finds a root in a subvolume, and mounts another one below it', async () => {
    await appliance.run('mkfs', 'btrfs', '/dev/sdh')
    await appliance.run('mount', '/dev/sdh', '/')
    for (const subvolume of ['/@', '/@boot']) await appliance.run('btrfs-subvolume-create', subvolume)
    await appliance.write('/@/etc/os-release', release)
    await appliance.write(
      '/@/etc/fstab',
      'UUID=4711 / btrfs subvol=@ 0 0\n/dev/vdh /boot/ btrfs subvol=@boot 0 0\n',
    )
    await appliance.run('mkdir', '/@/boot')
    await appliance.write('/@boot/vmlinuz', 'kernel')
    await appliance.run('umount', '/')
    const fileSystems = [fileSystem({ device: '/dev/sdh', type: 'btrfs' })]
    const root = await findRoot(appliance, { fileSystems })
    expect(root).toEqual({ device: '/dev/sdh', subvolume: '@' })
    const { warnings } = await mountGuest(appliance, root, { fileSystems, sourceDeviceNames: [] })
    expect(warnings).toEqual([])
    expect(await appliance.text('/boot/vmlinuz')).toBe('kernel')
    await appliance.run('umount-all')
  })

  it('passes names and contents as they are, whatever they hold', async () => {
    await appliance.run('mount', '/dev/sdd', '/')
    const random = seededRandom(seedFor('file contents'))
    const name = '/a "quoted" $(name); with | < > \\x41 # \' *'
    for (const content of [
      '',
      '\n',
      '"; sh "touch /evil"\n',
      '\u00e4\u00ff\u0001$x`y`\r\n',
      randomBytesFrom(random, 100_000).toString('latin1'),
    ]) {
      await appliance.write(name, content, 0o640)
      expect(await appliance.text(name)).toBe(content)
    }
    expect(Number.parseInt(await appliance.run('filesize', name), 10)).toBe(100_000)
    expect(await appliance.lines('ls', '/')).toEqual([
      'a "quoted" $(name); with | < > \\x41 # \' *',
      'bin',
      'etc',
      'lost+found',
    ])
    expect((await appliance.download(name)).length).toBe(100_000)
  })

  it("passes libguestfs's own words on, and goes on working", async () => {
    const attempt = appliance.run('cat', '/no such file')
    await expect(attempt).rejects.toBeInstanceOf(ApplianceError)
    await expect(attempt).rejects.toThrow(/^cat \/no such file: .*No such file or directory$/)
    await expect(appliance.run('no-such-command')).rejects.toThrow(ApplianceError)
    expect(await appliance.asks('exists', '/etc/os-release')).toBe(true)
    await appliance.run('umount', '/')
  })

  it('refuses files that are too long to be what they should be', async () => {
    await appliance.run('mount', '/dev/sdb', '/')
    await appliance.run('truncate-size', '/readme', String(3 * mebibyte))
    await expect(appliance.text('/readme')).rejects.toThrow('too many for a configuration file')
    await appliance.run('truncate-size', '/readme', String(1024 * mebibyte))
    await expect(appliance.download('/readme')).rejects.toThrow(PermanentError)
    await appliance.run('umount', '/')
  })

  it('refuses a guest for another processor', async () => {
    // Of all disks only the one with the foreign program is to be seen.
    for (const device of ['a', 'b', 'c', 'd', 'f', 'g2', 'h'].map((name) => `/dev/sd${name}`))
      await appliance.run('wipefs', device)
    await expect(inspect(appliance, [], virtioTarget)).rejects.toThrow(
      'The programs of Test Linux are for ELF machine 183, 64 bits',
    )
  })
})

describe('the end of an appliance', () => {
  it(
    'comes when it is aborted in the middle of a command, and leaves nothing',
    async () => {
      const abort = new AbortController()
      const own = settings()
      const disk = { path: await emptyImage('abort'), format: 'raw' as const, isBootDisk: true }
      const appliance = await Appliance.start([disk], own, abort.signal, console.log)
      expect(await processesNaming(own.workDir)).not.toEqual([])
      const sleeping = appliance.run('sleep', '3600')
      abort.abort(new Error('no longer wanted'))
      await expect(sleeping).rejects.toThrow('no longer wanted')
      await expect(appliance.run('list-devices')).rejects.toThrow('no longer wanted')
      await appliance.stop()
      expect(await readdir(own.workDir)).toEqual([])
      await until('no process is left', async () => (await processesNaming(own.workDir)).length === 0)
    },
    launchMs,
  )

  it(
    'comes when the process that uses it is killed',
    async () => {
      const { workDir } = settings()
      const holder = join(import.meta.dirname, '../fixtures/appliance_holder.ts')
      const child = spawn(process.execPath, [holder, await emptyImage('orphan'), workDir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      await until('the appliance runs', async () => said.includes('holding'), launchMs)
      expect((await processesNaming(workDir)).length).toBeGreaterThan(1)
      child.kill('SIGKILL')
      await until('no process is left', async () => (await processesNaming(workDir)).length === 0)
    },
    launchMs,
  )
})

describe('convert()', () => {
  it(
    'refuses a disk of random bytes with a verdict, and does not write to it, however the appliance starts',
    async () => {
      // An appliance that cannot be built for the short start; libguestfs's own start is left.
      const own = { ...settings(), cacheDir: join(folder, 'unusable') }
      const { stdout } = await run('guestfish', ['get-path'])
      const supply = await shortStart(stdout.trim(), own.cacheDir)
      await writeFile(join(supply ?? '', 'supermin.d', 'init.tar.gz'), '\u001f\u008b broken', 'latin1')
      const path = join(folder, 'random')
      await writeFile(path, randomBytesFrom(seededRandom(seedFor('random disk')), 4 * mebibyte))
      const hash = async (): Promise<string> =>
        createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      const before = await hash()
      const lines: string[] = []
      const attempt = convert({
        disks: [{ path, format: 'raw', isBootDisk: true }],
        target: virtioTarget,
        appliance: own,
        signal: new AbortController().signal,
        log: (line) => lines.push(line),
        now: () => performance.now(),
      })
      await expect(attempt).rejects.toThrow(PermanentError)
      await expect(attempt).rejects.toThrow('Found no operating system on the disks (no file system)')
      expect(await hash()).toBe(before)
      expect(lines).toEqual([
        'Opening the disks',
        expect.stringContaining('The appliance did not start, trying the long and safe way: '),
      ])
    },
    launchMs,
  )

  it.each([[], ['setpriv']])('says what is missing when there are only these tools: %j', async (...tools) => {
    const path = await mkdtemp(join(folder, 'tools-'))
    for (const tool of tools) await symlink(`/usr/bin/${tool}`, join(path, tool))
    const attempt = convert({
      disks: [{ path: await emptyImage('none'), format: 'raw', isBootDisk: true }],
      target: virtioTarget,
      appliance: { ...settings(), environment: { PATH: path } },
      signal: new AbortController().signal,
      log: () => undefined,
      now: () => performance.now(),
    })
    await expect(attempt).rejects.toThrow('Cannot find guestfish: run scripts/setup, which installs it')
  })
})
