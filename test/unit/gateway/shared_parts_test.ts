import { describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { newSourceServer } from '../../../domain/source_server.ts'
import { SharedParts } from '../../../gateway/shared_parts.ts'
import { inventory } from './callers.ts'

function serverNumber(number: number): SourceServer {
  const server = newSourceServer({
    sourceServerId: `s-${String(number).padStart(17, '0')}` as SourceServerId,
    at: '2026-03-01T12:00:00.000Z',
    sourceProperties: inventory(`host-${number}`),
    disks: [
      {
        diskIndex: 0,
        deviceName: '/dev/sda',
        stableId: `wwn-${number}`,
        sizeBytes: 2 ** 30,
        isBootDisk: true,
        replicatedBytes: number,
        rescannedBytes: 0,
        backlogBytes: 0,
        tracker: { kind: 'tracefs', reason: 'The kernel shows every write' },
      },
    ],
    agent: {
      version: '0.1.0',
      certificateSerial: String(number),
      certificateNotAfter: '2026-03-08T12:00:00.000Z',
      generation: 1,
      desired: 'REPLICATE',
    },
  })
  // As it comes from the store: nothing of it is shared with another one.
  return JSON.parse(JSON.stringify(server)) as SourceServer
}

describe('SharedParts', () => {
  it('leaves what a server says as it is, and the server that it was given too', () => {
    const parts = new SharedParts()
    const given = serverNumber(1)
    const before = structuredClone(given)
    expect(parts.share(given)).toStrictEqual(before)
    expect(parts.share(serverNumber(2))).toStrictEqual(serverNumber(2))
    expect(given).toStrictEqual(before)
  })

  it('holds once what is alike, and by itself what is not', () => {
    const parts = new SharedParts()
    const other = serverNumber(2)
    const [one, two] = [
      parts.share(serverNumber(1)),
      parts.share({
        ...other,
        replicationConfiguration: { ...other.replicationConfiguration, site: 'Kiel' },
      }),
    ]
    expect(two.replication.initiation.steps).toBe(one.replication.initiation.steps)
    expect(two.disks[0]?.tracker).toBe(one.disks[0]?.tracker)
    expect(two.launchConfiguration.reachablePorts).toBe(one.launchConfiguration.reachablePorts)
    expect(two.replicationConfiguration.site).toBe('Kiel')
    expect(one.replicationConfiguration.site).toBeUndefined()
    expect(one.disks[0]?.stableId).toBe('wwn-1')
    expect(two.disks[0]?.stableId).toBe('wwn-2')
  })

  it('does not let events push out what is alike', () => {
    const parts = new SharedParts()
    const first = parts.share(serverNumber(1))
    for (let number = 0; number < 6000; number++) {
      const [event] = serverNumber(1).outbox
      if (event === undefined) throw new Error('A new server tells of its enrolment')
      parts.share({ ...serverNumber(1), outbox: [{ ...event, sequence: number }] })
    }
    expect(parts.share(serverNumber(1)).replication.initiation.steps).toBe(first.replication.initiation.steps)
  })

  it('goes on when there are more kinds than are worth it', () => {
    const parts = new SharedParts()
    const first = parts.share(serverNumber(1))
    for (let number = 0; number < 6000; number++) {
      const server = serverNumber(1)
      const { tracker } = server.disks[0] ?? {}
      const disks = server.disks.map((disk) => ({
        ...disk,
        tracker: { kind: tracker?.kind ?? '', reason: `Reason ${number}` },
      }))
      expect(parts.share({ ...server, disks }).disks[0]?.tracker?.reason).toBe(`Reason ${number}`)
    }
    expect(parts.share(serverNumber(1))).toStrictEqual(first)
  })
})
