import { describe, expect, it } from 'vitest'
import { startAgent } from '../../../domain/agent_contact.ts'
import { chooseDisks, inventoryProblem, renameDisks } from '../../../domain/inventory.ts'
import type { SourceDisk } from '../../../domain/source_server.ts'
import { later, oneDiskInventory, testServer } from '../../fixtures/source_server.ts'

/** Two disks of one size to which the machine has given one serial number. */
function twins(...names: string[]): SourceDisk[] {
  return names.map((deviceName, index) => ({
    deviceName,
    sizeBytes: 1_073_741_824,
    stableId: 'same-serial',
    isBootDisk: index === 0,
  }))
}

/** A server that replicates `disks`, after its agent started and found `found`. */
function startedWith(disks: SourceDisk[], found: SourceDisk[]) {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS', { disks: chooseDisks(disks) })
  const sourceProperties = { ...oneDiskInventory(), disks: found }
  return startAgent(server, { version: '0.1.1', bootId: 'boot', sourceProperties }, later(1))
}

describe('disks with one serial number', () => {
  it('stay two disks when the agent starts again', () => {
    const disks = twins('/dev/vda', '/dev/vdb')
    const after = startedWith(disks, disks)
    expect(after.disks.map((disk) => disk.deviceName)).toEqual(['/dev/vda', '/dev/vdb'])
    expect(inventoryProblem(after)).toBeUndefined()
  })

  it('are not taken for each other when one is gone', () => {
    const after = startedWith(twins('/dev/vda', '/dev/vdb'), twins('/dev/vdb'))
    expect(after.disks.map((disk) => disk.deviceName)).toEqual(['/dev/vda', '/dev/vdb'])
    expect(inventoryProblem(after)?.rawError).toBe(
      'Disk /dev/vda (same-serial) has vanished from the source server',
    )
    expect(after.replication.state).toBe('STALLED')
  })

  it('are not taken for a disk that was there before them', () => {
    const after = startedWith(twins('/dev/vdb'), twins('/dev/vda', '/dev/vdb'))
    expect(after.disks.map((disk) => disk.deviceName)).toEqual(['/dev/vdb'])
    expect(inventoryProblem(after)).toBeUndefined()
  })

  it('stop replication when both copies were made from one of them', () => {
    const disks = twins('/dev/vda', '/dev/vdb')
    const copied = chooseDisks(disks).map((disk) => ({ ...disk, deviceName: '/dev/vda' }))
    const server = { disks: copied, sourceProperties: { ...oneDiskInventory(), disks } }
    expect(inventoryProblem(server)).toMatchObject({
      rawError: 'Disks 0 and 1 of this server are both copied from /dev/vda (same-serial)',
      whatToDo: expect.stringContaining('One disk of the source has no copy: disconnect this server'),
    })
  })
})

describe('renameDisks()', () => {
  it('follows a disk whose serial number nobody shares', () => {
    const known = chooseDisks([
      ...twins('/dev/vda', '/dev/vdb'),
      { deviceName: '/dev/vdc', sizeBytes: 512, stableId: 'own-serial', isBootDisk: false },
    ])
    const found = [
      { deviceName: '/dev/vdd', sizeBytes: 512, stableId: 'own-serial', isBootDisk: false },
      ...twins('/dev/vda', '/dev/vdb'),
    ]
    expect(renameDisks(known, found).map((disk) => disk.deviceName)).toEqual([
      '/dev/vda',
      '/dev/vdb',
      '/dev/vdd',
    ])
  })
})

describe('chooseDisks()', () => {
  it('refuses one device twice', () => {
    expect(() => chooseDisks(twins('/dev/vda', '/dev/vda'))).toThrow(
      'Cannot replicate disk /dev/vda twice; name it once',
    )
  })
})
