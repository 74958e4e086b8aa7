import { describe, expect, it } from 'vitest'
import { applyAction } from '../../../domain/actions.ts'
import { startAgent } from '../../../domain/agent_contact.ts'
import { withSourceDisks } from '../../../domain/disk_changes.ts'
import type { VolumeId } from '../../../domain/ids.ts'
import { inventoryProblem, replicatedDiskOf } from '../../../domain/inventory.ts'
import { withAttachments } from '../../../domain/replaced_disk.ts'
import type { SourceDisk, SourceServer } from '../../../domain/source_server.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

const root: SourceDisk = {
  deviceName: '/dev/vda',
  sizeBytes: 2 ** 30,
  stableId: 'serial-a',
  isBootDisk: true,
}
const data = (attachmentId: string | undefined, stableId = '/dev/vdb'): SourceDisk => ({
  deviceName: '/dev/vdb',
  sizeBytes: 2 ** 30,
  stableId,
  ...(attachmentId === undefined ? {} : { attachmentId }),
  isBootDisk: false,
})

/** A server with a root disk and this one. */
function serverWith(disk: SourceDisk): SourceServer {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
  const inventory = [root, disk]
  return {
    ...server,
    sourceProperties: { ...server.sourceProperties, disks: inventory },
    disks: inventory.map((source, index) => ({
      ...replicatedDiskOf(source, index),
      volumeId: `vol-0000000000000000${index}` as VolumeId,
      devicePath: `/volumes/${index}`,
    })),
    agent: { ...server.agent, bootId: 'boot-1' },
  }
}

const seeing = (server: SourceServer, ...disks: SourceDisk[]) => withSourceDisks(server, disks, later(10))
const starting = (server: SourceServer, bootId: string, ...disks: SourceDisk[]) =>
  startAgent(
    server,
    { version: '1', bootId, sourceProperties: { ...server.sourceProperties, disks } },
    later(20),
  )
const attachments = (server: SourceServer) => withAttachments(server).map(({ attachmentId }) => attachmentId)

describe('a disk that nothing names for good', () => {
  it('is copied in the attachment in which it is known, and others are by their names', () => {
    expect(attachments(serverWith(data('boot-1/9')))).toEqual([undefined, 'boot-1/9'])
    expect(attachments(serverWith(data('boot-1/9', 'serial-b')))).toEqual([undefined, undefined])
    expect(attachments(serverWith(data(undefined)))).toEqual([undefined, undefined])
  })

  it('that shares its serial number with another one is nameless too', () => {
    const server = serverWith({ ...data('boot-1/9'), stableId: 'serial-a' })
    expect(attachments(server)).toEqual([undefined, 'boot-1/9'])
    expect(attachments(seeing(server, root, { ...data('boot-1/10'), stableId: 'serial-a' }))).toEqual([
      undefined,
      'boot-1/9',
    ])
  })

  it('and is attached anew may be another one: it is not taken, nor offered, through every restart', () => {
    const missing = seeing(serverWith(data('boot-1/9')), root)
    let server = seeing(missing, root, data('boot-1/10'))
    expect(attachments(server)).toEqual([undefined, 'boot-1/9'])
    expect(inventoryProblem(server)).toBeUndefined()
    expect(server.offeredDisks ?? []).toEqual([])
    for (const bootId of ['boot-1', 'boot-2']) {
      server = starting(server, bootId, root, data(`${bootId}/9`.replace('boot-1/9', 'boot-1/11')))
      expect(attachments(server)).toEqual([undefined, 'boot-1/9'])
    }
    expect(seeing(server, root, data('boot-2/9'))).toMatchObject({ disks: server.disks })
  })

  it('is another one too when it was attached anew while no agent ran', () => {
    expect(attachments(starting(serverWith(data('boot-1/9')), 'boot-1', root, data('boot-1/10')))).toEqual([
      undefined,
      'boot-1/9',
    ])
  })

  it('is the same after a restart of the machine, and where the kernel begins to count', () => {
    expect(attachments(starting(serverWith(data('boot-1/9')), 'boot-2', root, data('boot-2/4')))).toEqual([
      undefined,
      'boot-2/4',
    ])
    expect(attachments(seeing(serverWith(data(undefined)), root, data('boot-1/9')))).toEqual([
      undefined,
      'boot-1/9',
    ])
  })

  it('is taken as it is there now when the operator asks for a rescan', () => {
    const replaced = seeing(serverWith(data('boot-1/9')), root, data('boot-1/10'))
    const again = seeing(replaced, root, data('boot-1/11'))
    const asked = applyAction(again, 'RESCAN', { at: later(30), actor: 'ann', jobId: testJobId })
    expect(attachments(asked)).toEqual([undefined, 'boot-1/11'])
    expect(asked.replication.rescanEpoch).toBe(again.replication.rescanEpoch + 1)
    expect(asked.disks.map(({ replacement }) => replacement)).toEqual([undefined, undefined])
    expect(attachments(seeing(asked, root, data('boot-1/12')))).toEqual([undefined, 'boot-1/11'])
  })
})

describe('a disk with a serial number', () => {
  it('may be detached and attached', () => {
    const server = serverWith(data('boot-1/9', 'serial-b'))
    const after = seeing(seeing(server, root), root, data('boot-1/10', 'serial-b'))
    expect(after.disks).toEqual(server.disks)
    expect(after.sourceProperties.disks[1]?.attachmentId).toBe('boot-1/10')
  })
})
