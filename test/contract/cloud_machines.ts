/**
 * Machines of a cloud.
 * @module
 */
import { expect, test } from 'vitest'
import type { ConversionDisk } from '../../cloud/provider.ts'
import { keptOfTag, sourceServerTag } from '../../cloud/provider.ts'
import { ConflictError } from '../../domain/errors.ts'
import type { SnapshotId } from '../../domain/ids.ts'
import { bootSector, writtenLine } from '../fixtures/boot_sector.ts'
import { firstServerId, mebibyte, sourceServerId, tags } from './cloud_bench.ts'
import type { CloudBench } from './cloud_bench.ts'

/** Adds these tests to the suite. @param bench the bench of the test that runs */
export function launchedMachines(bench: () => CloudBench): void {
  test('a machine boots on its own copy, is detached while it runs, and leaves nothing', async () => {
    const { cloud, provider, other, subject } = bench()
    const boot = bootSector({ text: 'hello from the guest\r\n', end: 'halt' })
    const system = await bench().volumeWith(boot, 'system')
    const data = await bench().volumeWith(Buffer.from('data'), 'data')
    const image = await bench().imageOf(system.id, data.id)
    const machine = await provider.launchMachine(bench().machineSpec(image.id))
    expect([machine.state, machine.stateReason]).toEqual(['RUNNING', undefined])
    expect(machine.endpoints.map(({ guestPort }) => guestPort)).toEqual([22, 80])
    await bench().consoleContains(machine.machineId, writtenLine)
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
    const { [sourceServerTag]: _moved, ...others } = tags
    const kept = { kind: 'machine', id: machine.machineId, tags: { ...others, [keptOfTag]: sourceServerId } }
    expect(await provider.listResources()).toContainEqual(kept)
    expect((await provider.listResources(sourceServerId)).map(({ kind }) => kind)).not.toContain('machine')
    await provider.deleteImage(image.id)
    for (const snapshotId of image.snapshots) await provider.deleteSnapshot(snapshotId)
    await provider.deleteVolume(system.id)
    await provider.deleteVolume(data.id)
    expect(await provider.describeMachine(machine.machineId)).toEqual(machine)

    await provider.terminateMachine(machine.machineId)
    await other.terminateMachine(machine.machineId)
    expect(await provider.describeMachine(machine.machineId)).toBeUndefined()
    await provider.removeReplicationServer(firstServerId)
    expect(await provider.listResources()).toEqual([])
    expect(await cloud.leftovers()).toEqual([])
  })

  test('a machine that is not to be started is there, stands still and can be detached', async () => {
    const { provider } = bench()
    const { id } = await bench().volumeWith(bootSector({ text: 'never', end: 'halt' }))
    const image = await bench().imageOf(id)
    const machine = await provider.launchMachine(bench().machineSpec(image.id, { started: false }))
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
    const { cloud, provider, other } = bench()
    if (cloud.forgetCompletion === undefined) {
      skip('effect and note are one here')
      return
    }
    const { id, device } = await bench().volumeWith(bootSector({ text: 'once\r\n', end: 'halt' }))
    const forget = cloud.forgetCompletion.bind(cloud)
    await forget({ kind: 'volume', id })
    expect(await provider.listResources(sourceServerId)).toContainEqual({ kind: 'volume', id, tags })
    expect(await provider.createVolume({ clientToken: 'volume', sizeBytes: mebibyte, tags })).toBe(id)
    await cloud.writeVolume(device, 0, bootSector({ text: 'once\r\n', end: 'halt' }))

    const image = await bench().imageOf(id)
    const [snapshotId] = image.snapshots as [SnapshotId]
    await forget({ kind: 'snapshot', id: snapshotId })
    expect((await bench().imageOf(id)).snapshots).toEqual([snapshotId])
    await forget({ kind: 'image', id: image.id })
    expect((await bench().imageOf(id)).id).toBe(image.id)

    const machine = await provider.launchMachine(bench().machineSpec(image.id))
    await forget({ kind: 'machine', id: machine.machineId })
    expect(await other.launchMachine(bench().machineSpec(image.id))).toEqual(machine)
    await bench().consoleContains(machine.machineId, writtenLine)
    expect((await provider.consoleText(machine.machineId, 4096)).match(/once/g)).toHaveLength(1)
    expect(await provider.listResources()).toHaveLength(5)
  })
}
