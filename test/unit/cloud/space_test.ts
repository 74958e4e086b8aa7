/**
 * What the operator reads when a volume was damaged or there is no room, and that nothing half done stays.
 * @module
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stopEverything } from '../../../cloud/qemu/service_stops.ts'
import { NoSpaceError } from '../../../cloud/qemu/space.ts'
import type { CloudProvider } from '../../../cloud/provider.ts'
import { createProvider } from '../../../cloud/registry.ts'
import { isPermanent } from '../../../domain/errors.ts'
import { newId, type VolumeId } from '../../../domain/ids.ts'
import { bootSector } from '../../fixtures/boot_sector.ts'
import { qemuSettings } from '../../fixtures/qemu_cloud.ts'

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
