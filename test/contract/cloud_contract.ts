/**
 * What every cloud must do, whatever it is. A new provider gets the whole suite from a short test file that says how it is made and
 * what it cannot do.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CloudProvider, CloudResource, ConversionDisk, MachineSpec } from '../../cloud/provider.ts'
import { sourceServerTag } from '../../cloud/provider.ts'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import {
  newId,
  type ImageId,
  type ReplicationServerId,
  type SnapshotId,
  type VolumeId,
} from '../../domain/ids.ts'
import { bootSector, writtenLine } from '../fixtures/boot_sector.ts'

/** One cloud, in an empty folder of its own. */
export interface CloudUnderTest {
  /** A provider object on this cloud; each call makes another one. */
  open(): CloudProvider
  /** Writes a volume as its replication server would, at the path that `attachVolume` gave. */
  writeVolume(devicePath: string, offsetBytes: number, bytes: Uint8Array): Promise<void>
  readDisk(disk: ConversionDisk, offsetBytes: number, lengthBytes: number): Promise<Buffer>
  writeDisk(disk: ConversionDisk, offsetBytes: number, bytes: Buffer): Promise<void>
  /** Ends a replication server's process as a crash would. */
  crashReplicationServer(id: ReplicationServerId): Promise<void>
  /** Takes a replication server away without the provider's knowing. */
  loseReplicationServer(id: ReplicationServerId): Promise<void>
  /** Changes a volume without the provider's knowing: makes it shorter or takes its content away. Missing: nobody can. */
  damageVolume?(devicePath: string, how: 'CUT' | 'REMOVED'): Promise<void>
  /** Files and processes that are still there. */
  leftovers(): Promise<string[]>
  /** Puts a thing into the state of a crash between its effect and the note of it. Missing: effect and note are one. */
  forgetCompletion?(resource: Pick<CloudResource, 'kind' | 'id'>): Promise<void>
  /** Ends what a failed test left running. */
  dispose(): Promise<void>
}

/** How a cloud is made and what it is allowed. */
export interface CloudSubject {
  name: string
  make(folder: string): Promise<CloudUnderTest>
  /** A machine's image can go while the machine still needs it. */
  imagesMayGoFirst: boolean
  /** How long a guest may take to print its first line. */
  bootTimeoutMs: number
}

const mebibyte = 2 ** 20
const sourceServerId = newId('sourceServer')
const tags = { [sourceServerTag]: sourceServerId, 'rehost:purpose': 'contract' }
const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: 'certificate', token: 'token' }

/** Runs the suite over `subject`. */
export function cloudContract(subject: CloudSubject): void {
  describe(`${subject.name} cloud`, () => {
    let folder: string
    let cloud: CloudUnderTest
    let provider: CloudProvider
    let other: CloudProvider

    beforeEach(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'rehost-cloud-'))
      cloud = await subject.make(folder)
      provider = cloud.open()
      other = cloud.open()
    })
    afterEach(async () => {
      await cloud.dispose()
      await rm(folder, { recursive: true, force: true })
    })

    /** An attached volume with `first` at its start. */
    async function volumeWith(
      first: Uint8Array,
      token = 'volume',
    ): Promise<{ id: VolumeId; device: string }> {
      const replicationServerId = newId('replicationServer', () => new Uint8Array(9))
      await provider.createReplicationServer({ replicationServerId, enrolment, tags })
      const id = await provider.createVolume({ clientToken: token, sizeBytes: mebibyte, tags })
      const device = await provider.attachVolume(id, replicationServerId)
      await cloud.writeVolume(device, 0, first)
      return { id, device }
    }

    async function imageOf(...volumes: VolumeId[]): Promise<{ id: ImageId; snapshots: SnapshotId[] }> {
      const snapshots: SnapshotId[] = []
      for (const volumeId of volumes) {
        snapshots.push(await provider.createSnapshot({ clientToken: `snapshot-${volumeId}`, volumeId, tags }))
      }
      const disks = snapshots.map((snapshotId, index) => ({ snapshotId, isBootDisk: index === 0 }))
      return { id: await provider.createImage({ clientToken: 'image', disks, tags }), snapshots }
    }

    function machineSpec(imageId: ImageId, changes: Partial<MachineSpec> = {}): MachineSpec {
      return {
        clientToken: 'machine',
        name: 'contract',
        imageId,
        cpuCount: 1,
        ramBytes: 128 * mebibyte,
        firmware: 'BIOS',
        reachablePorts: [22, 80],
        started: true,
        tags,
        ...changes,
      }
    }

    async function consoleContains(machineId: Parameters<CloudProvider['consoleText']>[0], text: string) {
      const deadline = performance.now() + subject.bootTimeoutMs
      for (;;) {
        const printed = await provider.consoleText(machineId, 4096)
        if (printed.includes(text) || performance.now() > deadline) {
          expect(printed).toContain(text)
          return
        }
        await sleep(100)
      }
    }

    test('preflight() finds nothing wrong and leaves nothing to sweep', async () => {
      const findings = await provider.preflight()
      expect(findings.filter(({ ok }) => !ok)).toEqual([])
      expect(await provider.listResources()).toEqual([])
    })

    test('every create, done twice and by another provider, is one thing', async () => {
      const replicationServerId = newId('replicationServer')
      const server = await provider.createReplicationServer({ replicationServerId, enrolment, tags })
      expect(await other.createReplicationServer({ replicationServerId, enrolment, tags })).toEqual(server)

      const volumeSpec = { clientToken: 'v', sizeBytes: mebibyte, tags }
      const volumeIds = await Promise.all([provider.createVolume(volumeSpec), other.createVolume(volumeSpec)])
      expect(new Set(volumeIds).size).toBe(1)
      const volumeId = volumeIds[0]
      const device = await provider.attachVolume(volumeId, replicationServerId)
      expect(await other.attachVolume(volumeId, replicationServerId)).toBe(device)

      const snapshotSpec = { clientToken: 's', volumeId, tags }
      const snapshotIds = await Promise.all([
        provider.createSnapshot(snapshotSpec),
        other.createSnapshot(snapshotSpec),
      ])
      expect(new Set(snapshotIds).size).toBe(1)

      const imageSpec = { clientToken: 'i', disks: [{ snapshotId: snapshotIds[0], isBootDisk: true }], tags }
      const imageIds = await Promise.all([provider.createImage(imageSpec), other.createImage(imageSpec)])
      expect(new Set(imageIds).size).toBe(1)

      const spec = machineSpec(imageIds[0])
      const [one, two] = await Promise.all([provider.launchMachine(spec), other.launchMachine(spec)])
      expect(two).toEqual(one)

      const listed = await provider.listResources()
      expect(listed.map(({ kind }) => kind).sort()).toEqual([
        'image',
        'machine',
        'replicationServer',
        'snapshot',
        'volume',
      ])
      expect(new Set(listed.map((resource) => JSON.stringify(resource.tags)))).toEqual(
        new Set([JSON.stringify(tags)]),
      )
    })

    test('different tokens make different things', async () => {
      const one = await provider.createVolume({ clientToken: 'one', sizeBytes: mebibyte, tags })
      const two = await provider.createVolume({ clientToken: 'two', sizeBytes: mebibyte, tags })
      expect(one).not.toBe(two)
      expect(await provider.listResources()).toHaveLength(2)
    })

    test('every remove of what is gone succeeds', async () => {
      await provider.removeReplicationServer(newId('replicationServer'))
      await provider.detachVolume(newId('volume'))
      await provider.deleteVolume(newId('volume'))
      await provider.deleteSnapshot(newId('snapshot'))
      await provider.deleteImage(newId('image'))
      await provider.terminateMachine(newId('machine'))
      expect(await provider.listResources()).toEqual([])
    })

    test('a missing thing is a NotFoundError', async () => {
      const { id } = await volumeWith(Buffer.from('x'))
      const missingImage = newId('image')
      const disks = [{ snapshotId: newId('snapshot'), isBootDisk: true }]
      const asked = [
        () => provider.restartReplicationServer(newId('replicationServer')),
        () => provider.growVolume(newId('volume'), mebibyte),
        () => provider.attachVolume(newId('volume'), newId('replicationServer')),
        () => provider.attachVolume(id, newId('replicationServer')),
        () => provider.createSnapshot({ clientToken: 's', volumeId: newId('volume'), tags }),
        () => provider.createImage({ clientToken: 'i', disks, tags }),
        () => provider.openImage(missingImage),
        () => provider.launchMachine(machineSpec(missingImage)),
        () => provider.consoleText(newId('machine'), 100),
        () => provider.screenshot(newId('machine')),
        () => provider.detachMachineFromImage(newId('machine')),
      ]
      for (const ask of asked) await expect(ask()).rejects.toBeInstanceOf(NotFoundError)
      expect(await provider.describeMachine(newId('machine'))).toBeUndefined()
      expect(await provider.describeReplicationServer(newId('replicationServer'))).toBeUndefined()
    })

    test('a replication server is started again after a crash, and is gone when removed', async () => {
      const replicationServerId = newId('replicationServer')
      const created = await provider.createReplicationServer({ replicationServerId, enrolment, tags })
      expect(created).toMatchObject({ replicationServerId, state: 'RUNNING', address: '127.0.0.1' })
      await cloud.crashReplicationServer(replicationServerId)
      expect((await other.describeReplicationServer(replicationServerId))?.state).toBe('STOPPED')
      await other.restartReplicationServer(replicationServerId)
      await provider.restartReplicationServer(replicationServerId)
      expect(await provider.describeReplicationServer(replicationServerId)).toEqual(created)
      await provider.removeReplicationServer(replicationServerId)
      expect(await other.describeReplicationServer(replicationServerId)).toBeUndefined()
      expect(await cloud.leftovers()).toEqual([])
    })

    test('a new volume is zeros, grows with zeros and never shrinks', async () => {
      const { id } = await volumeWith(Buffer.from('first'))
      await provider.growVolume(id, 2 * mebibyte)
      await provider.growVolume(id, 2 * mebibyte)
      await expect(provider.growVolume(id, mebibyte)).rejects.toBeInstanceOf(PermanentError)
      const [disk] = await provider.openImage((await imageOf(id)).id)
      expect(disk).toBeDefined()
      const content = await cloud.readDisk(disk as ConversionDisk, 0, 2 * mebibyte)
      expect(content).toHaveLength(2 * mebibyte)
      expect(content.subarray(0, 5).toString()).toBe('first')
      expect(content.subarray(5).equals(Buffer.alloc(2 * mebibyte - 5))).toBe(true)
    })

    test('a volume has one writer at a time', async () => {
      const { id } = await volumeWith(Buffer.from('x'))
      const second = newId('replicationServer')
      await provider.createReplicationServer({ replicationServerId: second, enrolment, tags })
      await expect(provider.attachVolume(id, second)).rejects.toBeInstanceOf(ConflictError)
      await provider.detachVolume(id)
      await other.detachVolume(id)
      await provider.attachVolume(id, second)
      await provider.removeReplicationServer(second)
      await provider.attachVolume(
        id,
        newId('replicationServer', () => new Uint8Array(9)),
      )
    })

    test('a volume that something else has cut or removed is DAMAGED, and no snapshot is taken of it', async ({
      skip,
    }) => {
      if (cloud.damageVolume === undefined) {
        skip('nobody else can reach a volume here')
        return
      }
      const { id, device } = await volumeWith(Buffer.from('x'))
      expect(await other.describeVolume(id)).toEqual({ volumeId: id, state: 'READY' })
      await provider.growVolume(id, 2 * mebibyte)
      expect((await provider.describeVolume(id))?.state).toBe('READY')
      for (const how of ['CUT', 'REMOVED'] as const) {
        await cloud.damageVolume(device, how)
        const seen = await provider.describeVolume(id)
        expect(seen?.state).toBe('DAMAGED')
        const snapshot = provider.createSnapshot({ clientToken: how, volumeId: id, tags })
        const error: unknown = await snapshot.catch((caught: unknown) => caught)
        expect(error).toBeInstanceOf(PermanentError)
        expect((error as Error).message).toContain(seen?.stateReason)
      }
      await provider.deleteVolume(id)
      expect(await provider.describeVolume(id)).toBeUndefined()
    })

    test('a replication server that has vanished is made anew with its volumes', async () => {
      const { id, device } = await volumeWith(Buffer.from('kept'))
      const replicationServerId = newId('replicationServer', () => new Uint8Array(9))
      const spec = { replicationServerId, enrolment, tags }
      await cloud.loseReplicationServer(replicationServerId)
      expect(await provider.describeReplicationServer(replicationServerId)).toBeUndefined()
      await expect(provider.restartReplicationServer(replicationServerId)).rejects.toBeInstanceOf(
        NotFoundError,
      )
      expect((await provider.createReplicationServer(spec)).state).toBe('RUNNING')
      expect(await provider.attachVolume(id, replicationServerId)).toBe(device)
      await cloud.loseReplicationServer(replicationServerId)
      const second = newId('replicationServer')
      await provider.createReplicationServer({ ...spec, replicationServerId: second })
      expect(await provider.attachVolume(id, second)).toBe(device)
    })

    test('a snapshot is one moment, and images written on it do not change it', async () => {
      const { id, device } = await volumeWith(Buffer.from('then'))
      const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId: id, tags })
      await cloud.writeVolume(device, 0, Buffer.from('now!'))
      expect(await other.createSnapshot({ clientToken: 's', volumeId: id, tags })).toBe(snapshotId)
      const disks = [{ snapshotId, isBootDisk: true }]
      const [written] = await provider.openImage(
        await provider.createImage({ clientToken: 'a', disks, tags }),
      )
      await cloud.writeDisk(written as ConversionDisk, 0, Buffer.from('conv'))
      const [fresh] = await provider.openImage(await provider.createImage({ clientToken: 'b', disks, tags }))
      expect((await cloud.readDisk(written as ConversionDisk, 0, 4)).toString()).toBe('conv')
      expect((await cloud.readDisk(fresh as ConversionDisk, 0, 4)).toString()).toBe('then')
      // A second call must not begin the image anew: conversion has written on it.
      await other.createImage({ clientToken: 'a', disks, tags })
      expect((await cloud.readDisk(written as ConversionDisk, 0, 4)).toString()).toBe('conv')
    })

    test('an image has its boot disk first', async () => {
      const data = await volumeWith(Buffer.from('data'), 'data')
      const boot = await volumeWith(Buffer.from('boot'), 'boot')
      const snapshotOf = (volumeId: VolumeId) =>
        provider.createSnapshot({ clientToken: `s-${volumeId}`, volumeId, tags })
      const disks = [
        { snapshotId: await snapshotOf(data.id), isBootDisk: false },
        { snapshotId: await snapshotOf(boot.id), isBootDisk: true },
      ]
      const opened = await provider.openImage(await provider.createImage({ clientToken: 'i', disks, tags }))
      const contents = await Promise.all(opened.map((disk) => cloud.readDisk(disk, 0, 4)))
      expect(contents.map(String)).toEqual(['boot', 'data'])
      expect(opened.map(({ isBootDisk }) => isBootDisk)).toEqual([true, false])
    })

    test('listResources() finds what belongs to one source server', async () => {
      const mine = await provider.createVolume({ clientToken: 'mine', sizeBytes: mebibyte, tags })
      const foreignTags = { [sourceServerTag]: newId('sourceServer') }
      await provider.createVolume({ clientToken: 'foreign', sizeBytes: mebibyte, tags: foreignTags })
      expect(await provider.listResources(sourceServerId)).toEqual([{ kind: 'volume', id: mine, tags }])
      expect(await provider.listResources()).toHaveLength(2)
    })

    test('a machine boots on its own copy, is detached while it runs, and leaves nothing', async () => {
      const boot = bootSector({ text: 'hello from the guest\r\n', end: 'halt' })
      const system = await volumeWith(boot, 'system')
      const data = await volumeWith(Buffer.from('data'), 'data')
      const image = await imageOf(system.id, data.id)
      const machine = await provider.launchMachine(machineSpec(image.id))
      expect([machine.state, machine.stateReason]).toEqual(['RUNNING', undefined])
      expect(machine.endpoints.map(({ guestPort }) => guestPort)).toEqual([22, 80])
      await consoleContains(machine.machineId, writtenLine)
      expect(await provider.consoleText(machine.machineId, 4096)).toContain('hello from the guest\r\n')
      expect(await provider.consoleText(machine.machineId, writtenLine.length)).toBe(writtenLine)

      const [disk] = await provider.openImage(image.id)
      const secondSector = await cloud.readDisk(disk as ConversionDisk, 512, 512)
      expect(secondSector.equals(Buffer.alloc(512))).toBe(true)

      if (provider.capabilities.screenshots) {
        const picture = Buffer.from((await provider.screenshot(machine.machineId)) ?? [])
        expect(picture.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
        expect(picture.readUInt32BE(16)).toBeGreaterThanOrEqual(320)
        expect(picture.readUInt32BE(20)).toBeGreaterThanOrEqual(200)
        expect(picture.subarray(-8, -4).toString('latin1')).toBe('IEND')
      }

      if (!subject.imagesMayGoFirst) {
        await expect(provider.deleteImage(image.id)).rejects.toBeInstanceOf(ConflictError)
        await expect(provider.deleteSnapshot(image.snapshots[0] as SnapshotId)).rejects.toBeInstanceOf(
          ConflictError,
        )
      }
      await provider.detachMachineFromImage(machine.machineId)
      await other.detachMachineFromImage(machine.machineId)
      await provider.deleteImage(image.id)
      for (const snapshotId of image.snapshots) await provider.deleteSnapshot(snapshotId)
      await provider.deleteVolume(system.id)
      await provider.deleteVolume(data.id)
      expect(await provider.describeMachine(machine.machineId)).toEqual(machine)

      await provider.terminateMachine(machine.machineId)
      await other.terminateMachine(machine.machineId)
      expect(await provider.describeMachine(machine.machineId)).toBeUndefined()
      await provider.removeReplicationServer(newId('replicationServer', () => new Uint8Array(9)))
      expect(await provider.listResources()).toEqual([])
      expect(await cloud.leftovers()).toEqual([])
    })

    test('a machine that is not to be started is there, stands still and can be detached', async () => {
      const { id } = await volumeWith(bootSector({ text: 'never', end: 'halt' }))
      const image = await imageOf(id)
      const machine = await provider.launchMachine(machineSpec(image.id, { started: false }))
      expect(machine.state).toBe('STOPPED')
      expect(await provider.consoleText(machine.machineId, 100)).toBe('')
      expect(await provider.screenshot(machine.machineId)).toBeUndefined()
      await provider.detachMachineFromImage(machine.machineId)
      await provider.deleteImage(image.id)
      for (const snapshotId of image.snapshots) await provider.deleteSnapshot(snapshotId)
      expect((await provider.describeMachine(machine.machineId))?.state).toBe('STOPPED')
      await provider.terminateMachine(machine.machineId)
    })

    test('a crash between an effect and the note of it makes no second thing', async ({ skip }) => {
      if (cloud.forgetCompletion === undefined) {
        skip('effect and note are one here')
        return
      }
      const { id, device } = await volumeWith(bootSector({ text: 'once\r\n', end: 'halt' }))
      const forget = cloud.forgetCompletion.bind(cloud)
      await forget({ kind: 'volume', id })
      expect(await provider.listResources(sourceServerId)).toContainEqual({ kind: 'volume', id, tags })
      expect(await provider.createVolume({ clientToken: 'volume', sizeBytes: mebibyte, tags })).toBe(id)
      await cloud.writeVolume(device, 0, bootSector({ text: 'once\r\n', end: 'halt' }))

      const image = await imageOf(id)
      const [snapshotId] = image.snapshots as [SnapshotId]
      await forget({ kind: 'snapshot', id: snapshotId })
      expect((await imageOf(id)).snapshots).toEqual([snapshotId])
      await forget({ kind: 'image', id: image.id })
      expect((await imageOf(id)).id).toBe(image.id)

      const machine = await provider.launchMachine(machineSpec(image.id))
      await forget({ kind: 'machine', id: machine.machineId })
      expect(await other.launchMachine(machineSpec(image.id))).toEqual(machine)
      await consoleContains(machine.machineId, writtenLine)
      expect((await provider.consoleText(machine.machineId, 4096)).match(/once/g)).toHaveLength(1)
      expect(await provider.listResources()).toHaveLength(5)
    })
  })
}
