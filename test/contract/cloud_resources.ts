/**
 * What is true of everything in a cloud: made once, removed for good, found again.
 * @module
 */
import { expect, test } from 'vitest'
import { sourceServerTag } from '../../cloud/provider.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { newId } from '../../domain/ids.ts'
import { enrolment, mebibyte, sourceServerId, tags } from './cloud_bench.ts'
import type { CloudBench } from './cloud_bench.ts'

/** Adds these tests to the suite. @param bench the bench of the test that runs */
export function everyResource(bench: () => CloudBench): void {
  test('preflight() finds nothing wrong and leaves nothing to sweep', async () => {
    const { provider } = bench()
    const findings = await provider.preflight()
    expect(findings.filter(({ ok }) => !ok)).toEqual([])
    expect(await provider.listResources()).toEqual([])
  })

  test('every create, done twice and by another provider, is one thing', async () => {
    const { provider, other } = bench()
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

    const spec = bench().machineSpec(imageIds[0])
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
    const { provider } = bench()
    const one = await provider.createVolume({ clientToken: 'one', sizeBytes: mebibyte, tags })
    const two = await provider.createVolume({ clientToken: 'two', sizeBytes: mebibyte, tags })
    expect(one).not.toBe(two)
    expect(await provider.listResources()).toHaveLength(2)
  })

  test('every remove of what is gone succeeds', async () => {
    const { provider } = bench()
    await provider.removeReplicationServer(newId('replicationServer'))
    await provider.detachVolume(newId('volume'))
    await provider.deleteVolume(newId('volume'))
    await provider.deleteSnapshot(newId('snapshot'))
    await provider.deleteImage(newId('image'))
    await provider.terminateMachine(newId('machine'))
    expect(await provider.listResources()).toEqual([])
  })

  test('a missing thing is a NotFoundError', async () => {
    const { provider } = bench()
    const { id } = await bench().volumeWith(Buffer.from('x'))
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
      () => provider.launchMachine(bench().machineSpec(missingImage)),
      () => provider.consoleText(newId('machine'), 100),
      () => provider.screenshot(newId('machine')),
      () => provider.detachMachineFromImage(newId('machine')),
    ]
    for (const ask of asked) await expect(ask()).rejects.toBeInstanceOf(NotFoundError)
    expect(await provider.describeMachine(newId('machine'))).toBeUndefined()
    expect(await provider.describeReplicationServer(newId('replicationServer'))).toBeUndefined()
  })

  test('listResources() finds what belongs to one source server', async () => {
    const { provider } = bench()
    const mine = await provider.createVolume({ clientToken: 'mine', sizeBytes: mebibyte, tags })
    const foreignTags = { [sourceServerTag]: newId('sourceServer') }
    await provider.createVolume({ clientToken: 'foreign', sizeBytes: mebibyte, tags: foreignTags })
    expect(await provider.listResources(sourceServerId)).toEqual([{ kind: 'volume', id: mine, tags }])
    expect(await provider.listResources()).toHaveLength(2)
  })
}
