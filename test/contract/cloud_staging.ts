/**
 * The staging area of a cloud: replication servers, volumes, snapshots and images.
 * @module
 */
import { expect, test } from 'vitest'
import type { ConversionDisk } from '../../cloud/provider.ts'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import { newId, type VolumeId } from '../../domain/ids.ts'
import { enrolment, firstServerId, mebibyte, tags } from './cloud_bench.ts'
import type { CloudBench } from './cloud_bench.ts'

/** Adds these tests to the suite. @param bench the bench of the test that runs */
export function stagingArea(bench: () => CloudBench): void {
  test('a replication server is started again after a crash, and is gone when removed', async () => {
    const { cloud, provider, other } = bench()
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
    const { cloud, provider } = bench()
    const { id } = await bench().volumeWith(Buffer.from('first'))
    await provider.growVolume(id, 2 * mebibyte)
    await provider.growVolume(id, 2 * mebibyte)
    await expect(provider.growVolume(id, mebibyte)).rejects.toBeInstanceOf(PermanentError)
    const [disk] = await provider.openImage((await bench().imageOf(id)).id)
    expect(disk).toBeDefined()
    const content = await cloud.readDisk(disk as ConversionDisk, 0, 2 * mebibyte)
    expect(content).toHaveLength(2 * mebibyte)
    expect(content.subarray(0, 5).toString()).toBe('first')
    expect(content.subarray(5).equals(Buffer.alloc(2 * mebibyte - 5))).toBe(true)
  })

  test('a volume has one writer at a time', async () => {
    const { provider, other } = bench()
    const { id } = await bench().volumeWith(Buffer.from('x'))
    const second = newId('replicationServer')
    await provider.createReplicationServer({ replicationServerId: second, enrolment, tags })
    await expect(provider.attachVolume(id, second)).rejects.toBeInstanceOf(ConflictError)
    await provider.detachVolume(id)
    await other.detachVolume(id)
    await provider.attachVolume(id, second)
    await provider.removeReplicationServer(second)
    await provider.attachVolume(id, firstServerId)
  })

  test('a volume that something else has cut or removed is DAMAGED, and no snapshot is taken of it', async ({
    skip,
  }) => {
    const { cloud, provider, other } = bench()
    if (cloud.damageVolume === undefined) {
      skip('nobody else can reach a volume here')
      return
    }
    const { id, device } = await bench().volumeWith(Buffer.from('x'))
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
    const { cloud, provider } = bench()
    const { id, device } = await bench().volumeWith(Buffer.from('kept'))
    const replicationServerId = firstServerId
    const spec = { replicationServerId, enrolment, tags }
    await cloud.loseReplicationServer(replicationServerId)
    expect(await provider.describeReplicationServer(replicationServerId)).toBeUndefined()
    await expect(provider.restartReplicationServer(replicationServerId)).rejects.toBeInstanceOf(NotFoundError)
    expect((await provider.createReplicationServer(spec)).state).toBe('RUNNING')
    expect(await provider.attachVolume(id, replicationServerId)).toBe(device)
    await cloud.loseReplicationServer(replicationServerId)
    const second = newId('replicationServer')
    await provider.createReplicationServer({ ...spec, replicationServerId: second })
    expect(await provider.attachVolume(id, second)).toBe(device)
  })

  test('a snapshot is one moment, and images written on it do not change it', async () => {
    const { cloud, provider, other } = bench()
    const { id, device } = await bench().volumeWith(Buffer.from('then'))
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId: id, tags })
    await cloud.writeVolume(device, 0, Buffer.from('now!'))
    expect(await other.createSnapshot({ clientToken: 's', volumeId: id, tags })).toBe(snapshotId)
    const disks = [{ snapshotId, isBootDisk: true }]
    const [written] = await provider.openImage(await provider.createImage({ clientToken: 'a', disks, tags }))
    await cloud.writeDisk(written as ConversionDisk, 0, Buffer.from('conv'))
    const [fresh] = await provider.openImage(await provider.createImage({ clientToken: 'b', disks, tags }))
    expect((await cloud.readDisk(written as ConversionDisk, 0, 4)).toString()).toBe('conv')
    expect((await cloud.readDisk(fresh as ConversionDisk, 0, 4)).toString()).toBe('then')
    // A second call must not begin the image anew: conversion has written on it.
    await other.createImage({ clientToken: 'a', disks, tags })
    expect((await cloud.readDisk(written as ConversionDisk, 0, 4)).toString()).toBe('conv')
  })

  test('an image has its boot disk first', async () => {
    const { cloud, provider } = bench()
    const data = await bench().volumeWith(Buffer.from('data'), 'data')
    const boot = await bench().volumeWith(Buffer.from('boot'), 'boot')
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
}
