/**
 * What the operator reads when something is missing, taken or full, and that nothing half done stays.
 * @module
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stopEverything } from '../../../cloud/qemu/processes.ts'
import { NoSpaceError } from '../../../cloud/qemu/space.ts'
import type { CloudProvider } from '../../../cloud/provider.ts'
import { createProvider } from '../../../cloud/registry.ts'
import { isPermanent, PermanentError } from '../../../domain/errors.ts'
import { newId, type VolumeId } from '../../../domain/ids.ts'
import { bootSector } from '../../fixtures/boot_sector.ts'
import { qemuSettings } from '../../fixtures/qemu_cloud.ts'
import { freePorts, until } from '../../fixtures/waiting.ts'

const run = promisify(execFile)
const mebibyte = 2 ** 20
const isRoot = process.getuid?.() === 0
const tags = {}
const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: 'certificate', token: 'token' }

let folder: string
const mounts: string[] = []

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-trouble-'))
})
afterEach(async () => {
  await stopEverything(folder)
  for (const mount of mounts.splice(0).toReversed()) await run('umount', [mount])
  await rm(folder, { recursive: true, force: true })
})

async function mount(place: string, args: string[]): Promise<void> {
  await mkdir(place, { recursive: true })
  await run('mount', [...args, place])
  mounts.push(place)
}

async function rejection(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (!(error instanceof Error)) throw new Error('It was expected to fail and did not')
  return error
}

async function fill(provider: CloudProvider, volumeId: VolumeId, bytes: Uint8Array): Promise<void> {
  const replicationServerId = newId('replicationServer', () => new Uint8Array(9))
  await provider.createReplicationServer({ replicationServerId, enrolment, tags })
  await writeFile(await provider.attachVolume(volumeId, replicationServerId), bytes, { flag: 'r+' })
}

describe('ports', () => {
  test('a port that another program has is named, with what to do', async () => {
    const [port = 0] = await freePorts(1)
    const holder = createServer().listen(port, '127.0.0.1')
    await once(holder, 'listening')
    const provider = createProvider('qemu', qemuSettings(folder, { replicationPort: port }))
    const replicationServerId = newId('replicationServer')
    const what = `port ${port} on 127.0.0.1 is taken by another program`
    const whatToDo = `find it with "ss -ltnp sport = :${port}" and end it, or set REHOST_REPLICATION_PORT`
    expect(await provider.preflight()).toContainEqual({ ok: false, what, whatToDo })
    const create = () => provider.createReplicationServer({ replicationServerId, enrolment, tags })
    const error = await rejection(create())
    expect(error.message).toBe(`Cannot start replication server ${replicationServerId}: ${what}; ${whatToDo}`)
    expect(isPermanent(error)).toBe(false)
    expect(await provider.listResources()).toEqual([])
    holder.close()
    await once(holder, 'close')
    expect((await create()).port).toBe(port)
  })

  test('one port serves one replication server, and the second is told which has it', async () => {
    const [port = 0] = await freePorts(1)
    const provider = createProvider('qemu', qemuSettings(folder, { replicationPort: port }))
    const first = newId('replicationServer')
    const second = newId('replicationServer')
    await provider.createReplicationServer({ replicationServerId: first, enrolment, tags })
    const error = await rejection(
      provider.createReplicationServer({ replicationServerId: second, enrolment, tags }),
    )
    expect(error.message).toContain(`replication server ${first} has port ${port}; remove it first`)
    expect(await provider.preflight()).toContainEqual({
      ok: true,
      what: `Port ${port} is served by ${first}`,
    })
    await provider.removeReplicationServer(first)
    expect(
      (await provider.createReplicationServer({ replicationServerId: second, enrolment, tags })).port,
    ).toBe(port)
  })
})

describe('tools', () => {
  test('a missing tool is named with what installs it, and no retry is asked for', async () => {
    const provider = createProvider('qemu', qemuSettings(folder, { toolPath: '' }))
    const findings = await provider.preflight()
    expect(findings).toContainEqual({
      ok: false,
      what: 'Cannot find qemu-img in an empty path; install it (Debian, Ubuntu: apt-get install qemu-utils)',
      whatToDo: 'apt-get install qemu-utils',
    })
    expect(findings.filter(({ ok }) => !ok).map(({ whatToDo }) => whatToDo)).toContain(
      'apt-get install qemu-system-x86',
    )
    const replicationServerId = newId('replicationServer')
    const error = await rejection(provider.createReplicationServer({ replicationServerId, enrolment, tags }))
    expect(error).toBeInstanceOf(PermanentError)
    expect(error.message).toContain('Cannot find sh in an empty path')
  })

  test('a tool that fails is quoted', async () => {
    const tools = path.join(folder, 'tools')
    await mkdir(tools)
    await writeFile(path.join(tools, 'qemu-img'), '#!/bin/sh\necho "qemu-img: bad day" >&2; exit 1\n', {
      mode: 0o755,
    })
    const provider = createProvider('qemu', qemuSettings(folder, { toolPath: `${tools}:/usr/bin:/bin` }))
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    const disks = [{ snapshotId, isBootDisk: true }]
    const error = await rejection(provider.createImage({ clientToken: 'i', disks, tags }))
    expect(error.message).toMatch(/^Cannot run qemu-img create .*: qemu-img: bad day$/)
  })
})

describe('volumes', () => {
  test('one whose file was cut or removed is named with what was found, and no retry is asked for', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    const file = path.join(folder, 'cloud', 'volumes', `${volumeId}.raw`)
    await truncate(file, 4096)
    const snapshot = () => rejection(provider.createSnapshot({ clientToken: 's', volumeId, tags }))
    const cut = await snapshot()
    expect(isPermanent(cut)).toBe(true)
    expect(cut.message).toMatch(
      /^Cannot copy volume vol-\w+ into snapshot snap-\w+: volume vol-\w+ is damaged, its file \S+ has 4096 bytes instead of 1048576; something other than Rehost changed it$/,
    )
    await rm(file)
    expect((await snapshot()).message).toContain(`its file ${file} is missing`)
  })

  test('one that an older version made is taken as it is', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    const metadata = path.join(folder, 'cloud', 'volumes', `${volumeId}.json`)
    await writeFile(metadata, JSON.stringify({ progress: 'READY', tags }))
    expect(await provider.describeVolume(volumeId)).toEqual({ volumeId, state: 'READY' })
    await provider.growVolume(volumeId, 2 * mebibyte)
    await truncate(path.join(folder, 'cloud', 'volumes', `${volumeId}.raw`), mebibyte)
    expect((await provider.describeVolume(volumeId))?.state).toBe('DAMAGED')
  })
})

describe.runIf(isRoot)('space', () => {
  test('a volume is refused where the reserve is missing, and nothing stays of it', async () => {
    await mount(path.join(folder, 'cloud'), ['-t', 'tmpfs', '-o', 'size=8m', 'rehost-test'])
    const provider = createProvider('qemu', qemuSettings(folder))
    const error = await rejection(
      provider.createVolume({ clientToken: 'v', sizeBytes: 100 * mebibyte, tags }),
    )
    expect(error).toBeInstanceOf(NoSpaceError)
    expect(error.message).toMatch(
      /^Cannot create volume vol-\w+ of 100 MiB: \S+ has 8\.0 MiB free and 100 MiB are needed; free space there or move/,
    )
    expect(isPermanent(error)).toBe(false)
    expect(await provider.listResources()).toEqual([])
    expect((await provider.preflight()).find(({ what }) => what.includes('are free in'))).toMatchObject({
      ok: false,
    })
  })

  test('a snapshot that would not fit is refused before it is copied, and made once there is room', async () => {
    await mount(path.join(folder, 'cloud'), ['-t', 'tmpfs', '-o', 'size=8m', 'rehost-test'])
    const provider = createProvider('qemu', qemuSettings(folder, { minFreeBytes: 0 }))
    expect(provider.capabilities.instantSnapshots).toBe(false)
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: 64 * mebibyte, tags })
    await fill(provider, volumeId, randomBytes(5 * mebibyte))
    const error = await rejection(provider.createSnapshot({ clientToken: 's', volumeId, tags }))
    expect(error).toBeInstanceOf(NoSpaceError)
    expect(error.message).toMatch(
      /^Cannot copy volume vol-\w+ into snapshot snap-\w+: .* and 5\.0 MiB are needed/,
    )
    expect(
      (await readdir(path.join(folder, 'cloud', 'snapshots'))).filter((name) => !name.endsWith('.json')),
    ).toEqual([])
    await run('mount', ['-o', 'remount,size=32m', path.join(folder, 'cloud')])
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    await provider.deleteSnapshot(snapshotId)
  })

  test('a disk that has no room to stand alone says so, and the machine goes on and stands alone later', async () => {
    const provider = createProvider('qemu', qemuSettings(folder, { minFreeBytes: 0 }))
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: 16 * mebibyte, tags })
    const content = Buffer.concat([bootSector({ text: 'up\r\n', end: 'halt' }), randomBytes(8 * mebibyte)])
    await fill(provider, volumeId, content)
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    const disks = [{ snapshotId, isBootDisk: true }]
    const imageId = await provider.createImage({ clientToken: 'i', disks, tags })
    const machines = path.join(folder, 'cloud', 'machines')
    await mount(machines, ['-t', 'tmpfs', '-o', 'size=4m', 'rehost-test'])
    const { machineId } = await provider.launchMachine({
      clientToken: 'm',
      name: 'small',
      imageId,
      cpuCount: 1,
      ramBytes: 128 * mebibyte,
      firmware: 'BIOS',
      reachablePorts: [],
      started: true,
      tags,
    })
    const error = await rejection(provider.detachMachineFromImage(machineId))
    expect(error).toBeInstanceOf(NoSpaceError)
    expect(error.message).toContain(`Cannot make the disks of machine ${machineId} stand alone`)
    expect((await provider.describeMachine(machineId))?.state).toBe('RUNNING')
    await rejection(provider.deleteImage(imageId))
    await run('mount', ['-o', 'remount,size=64m', machines])
    await provider.detachMachineFromImage(machineId)
    await provider.deleteImage(imageId)
    await provider.terminateMachine(machineId)
  })
})

describe.runIf(isRoot)('reflinks', () => {
  test('on a file system that has them snapshots are instant and take no space', async ({ skip }) => {
    const disk = path.join(folder, 'btrfs.raw')
    await writeFile(disk, '')
    await run('truncate', ['-s', '256M', disk])
    try {
      await run('mkfs.btrfs', ['-q', disk])
      await mount(path.join(folder, 'cloud'), ['-o', 'loop'].concat(disk))
    } catch (error) {
      skip(`this host has no btrfs: ${String(error)}`)
      return
    }
    const provider = createProvider('qemu', qemuSettings(folder, { minFreeBytes: 0 }))
    expect(provider.capabilities.instantSnapshots).toBe(true)
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: 128 * mebibyte, tags })
    await fill(provider, volumeId, randomBytes(100 * mebibyte))
    // Three copies of 100 MiB do not fit into 256 MiB but by sharing.
    for (const clientToken of ['a', 'b', 'c']) await provider.createSnapshot({ clientToken, volumeId, tags })
    expect(await provider.listResources()).toHaveLength(5)
  })
})

describe('machines', () => {
  const spec = {
    clientToken: 'm',
    name: 'trouble',
    cpuCount: 1,
    ramBytes: 128 * mebibyte,
    reachablePorts: [],
    started: true,
    tags,
  }

  async function imageOf(provider: CloudProvider, content: Uint8Array) {
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    await fill(provider, volumeId, content)
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    return await provider.createImage({ clientToken: 'i', disks: [{ snapshotId, isBootDisk: true }], tags })
  }

  test('a guest that powers itself off is STOPPED, one whose QEMU was killed is FAILED', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const imageId = await imageOf(provider, bootSector({ text: 'bye\r\n', end: 'powerOff' }))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'BIOS' })
    const stopped = await until('it has powered itself off', async () => {
      const seen = await provider.describeMachine(machineId)
      return seen?.state === 'STOPPED' ? seen : undefined
    })
    expect(stopped.stateReason).toBe('The guest powered itself off')
    expect(await provider.screenshot(machineId)).toBeDefined()

    const killed = await provider.launchMachine({ ...spec, clientToken: 'k', imageId, firmware: 'BIOS' })
    const pidFile = path.join(folder, 'cloud', 'machines', killed.machineId, 'pid')
    const { stdout } = await run('sed', ['-n', '2s/ .*//p', pidFile])
    process.kill(Number(stdout), 'SIGKILL')
    const failed = await until('its end is seen', async () => {
      const seen = await provider.describeMachine(killed.machineId)
      return seen?.state === 'FAILED' ? seen : undefined
    })
    expect(failed.stateReason).toBe('QEMU ended without a word: it was killed or the host was restarted')
    await provider.detachMachineFromImage(killed.machineId)
  })

  test('after stopEverything() a machine is STOPPED with its disks, and can be made to stand alone', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const imageId = await imageOf(provider, bootSector({ text: 'up\r\n', end: 'halt' }))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'BIOS' })
    expect(await stopEverything(folder)).toContain(machineId)
    expect(await provider.describeMachine(machineId)).toMatchObject({
      state: 'STOPPED',
      stateReason: 'Rehost was stopped',
    })
    await provider.detachMachineFromImage(machineId)
    await provider.deleteImage(imageId)
  })

  test('a machine with UEFI runs its firmware, on variables of its own', async ({ skip }) => {
    const provider = createProvider('qemu', qemuSettings(folder))
    if (!provider.capabilities.hardware.firmwares.includes('UEFI')) {
      skip('this host has no UEFI firmware')
      return
    }
    const imageId = await imageOf(provider, new Uint8Array(512))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'UEFI' })
    await until('the firmware speaks', async () =>
      /BdsDxe/.test(await provider.consoleText(machineId, 65_536)),
    )
    const names = await readdir(path.join(folder, 'cloud', 'machines', machineId))
    expect(names).toContain('vars.fd')
    await provider.terminateMachine(machineId)
    expect(await readdir(path.join(folder, 'cloud', 'machines'))).toEqual([])
  })
})
