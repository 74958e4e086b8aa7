import {
  DynamoDBClient,
  DeleteTableCommand,
  DescribeTableCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import { createDynamoRecords } from '../../store/dynamodb/factory.ts'
import { MemoryRecords } from '../../store/memory/records.ts'
import type { RecordStore } from '../../store/records.ts'
import { TestDynamoDb } from '../fixtures/dynamodb.ts'

/** A record that has everything; `name` tells it from others. */
function sampleRecord(name: string, overrides: Partial<ReplicationRecord> = {}): ReplicationRecord {
  return {
    sourceServerId: `s-${name}`,
    hostname: `${name}.example.test`,
    replicationStartedAt: '2025-02-10T12:51:42.303Z',
    readyForTestAt: '2025-02-10T13:06:09.000Z',
    initialReplicationDurationMinutes: 14,
    replicatedStorageBytes: 19_327_352_833,
    bandwidthThrottlingMbps: 300,
    replicationServerInstanceType: 't3.small',
    averageBytesPerSecond: 22_303_000,
    peakBytesPerSecond: 90_000_000,
    wireBytes: 7_000_000_000,
    peakWireBytesPerSecond: 40_000_000,
    changedBytes: 65_536,
    forecastMinutes: 12.5,
    forecastLowMinutes: 8,
    forecastHighMinutes: 20,
    isForecastNever: true,
    heldBackSeconds: 300,
    heldBackBytes: 9_000_000_000,
    usedBytes: 1_000_000_001,
    fileSystemBytes: 2_000_000_000,
    forecastCoveragePercent: 80,
    disks: [
      {
        deviceName: '/dev/xvda',
        sizeBytes: 19_327_352_833,
        isBootDisk: true,
        startedAt: '2025-02-10T12:51:44.000Z',
        copiedAt: '2025-02-10T13:05:00.250Z',
      },
    ],
    ...overrides,
  }
}

const sparse: ReplicationRecord = {
  sourceServerId: 's-sparse',
  hostname: 'sparse',
  readyForTestAt: '2025-02-10T13:06:09.000Z',
  replicatedStorageBytes: 0,
  bandwidthThrottlingMbps: 0,
  replicationServerInstanceType: 'local',
}

let endpoint: TestDynamoDb
let client: DynamoDBClient
beforeAll(async () => {
  endpoint = await TestDynamoDb.start()
  client = new DynamoDBClient({ endpoint: endpoint.url, region: 'local' })
})
afterAll(async () => {
  client.destroy()
  await endpoint.stop()
})

const onDynamoDb = (name: string, timeZone = 'Asia/Tokyo') =>
  createDynamoRecords({ endpoint: endpoint.url, region: 'local' }, { name, timeZone })

describe.each<[string, () => RecordStore]>([
  ['memory', () => new MemoryRecords()],
  ['DynamoDB', () => onDynamoDb('records-contract')],
])('records in %s', (_where, make) => {
  let records: RecordStore
  beforeAll(async () => {
    records = make()
    await records.initialise()
  })
  afterAll(() => records.close())

  it('are what was written, once each', async () => {
    expect(await records.list()).toEqual({ records: [], unreadableIds: [] })
    expect(await records.add(sampleRecord('a'))).toBe(true)
    expect(await records.add(sparse)).toBe(true)
    expect(await records.add(sampleRecord('a', { hostname: 'another', wireBytes: 1 }))).toBe(false)
    const found = await records.list()
    expect(found.unreadableIds).toEqual([])
    const byId = (one: ReplicationRecord, other: ReplicationRecord) =>
      one.sourceServerId < other.sourceServerId ? -1 : 1
    expect(found.records.sort(byId)).toEqual([sampleRecord('a'), sparse])
  })

  it('are written once though several write at the same moment', async () => {
    const tries = await Promise.all(
      Array.from({ length: 8 }, (_, index) => records.add(sampleRecord('raced', { wireBytes: index }))),
    )
    expect(tries.filter(Boolean)).toEqual([true])
    const raced = (await records.list()).records.filter(({ sourceServerId }) => sourceServerId === 's-raced')
    expect(raced).toEqual([sampleRecord('raced', { wireBytes: tries.indexOf(true) })])
  })
})

describe('records in DynamoDB', () => {
  it('lie in a table with the key of those that exist, made when it is first needed', async () => {
    const records = onDynamoDb('records-lazy')
    expect(await records.list()).toEqual({ records: [], unreadableIds: [] })
    expect(await records.add(sampleRecord('a'))).toBe(true)
    const { Table } = await client.send(new DescribeTableCommand({ TableName: 'records-lazy' }))
    expect(Table?.KeySchema).toEqual([{ AttributeName: 'SourceServerID', KeyType: 'HASH' }])
    // Removed under the writer, it is made again at the latest at the second try.
    await client.send(new DeleteTableCommand({ TableName: 'records-lazy' }))
    await records.add(sampleRecord('b')).catch(() => undefined)
    await records.add(sampleRecord('b'))
    expect((await records.list()).records).toEqual([sampleRecord('b')])
    await records.close()
  })

  it('are the same in whichever zone they were written', async () => {
    const there = onDynamoDb('records-zones', 'America/St_Johns')
    const here = onDynamoDb('records-zones', 'UTC')
    await there.add(sampleRecord('a'))
    expect((await here.list()).records).toEqual([sampleRecord('a')])
    await Promise.all([there.close(), here.close()])
  })

  it('of a recorder in the cloud are read as well; what is no record is named', async () => {
    const records = onDynamoDb('records-foreign', 'UTC')
    await records.initialise()
    const put = (Item: PutItemCommand['input']['Item']) =>
      client.send(new PutItemCommand({ TableName: 'records-foreign', Item }))
    await put({
      SourceServerID: { S: 's-3a2a83fcdee292049' },
      Hostname: { S: 'ip-10-1-10-150.us-east-2.compute.internal' },
      ReplicationStartTimeJST: { S: '2025-02-10T21:51:42.303447+09:00' },
      ReadyForTestTimeJST: { S: '2025-02-10T22:06:09+09:00' },
      InitialReplicationDurationMinutes: { N: '14' },
      ReplicatedTotalStorageGB: { N: '18' },
      BandwidthThrottlingMbps: { N: '0' },
      ReplicationServerInstanceType: { S: 't3.small' },
    })
    await put({ SourceServerID: { S: 's-note' }, Note: { S: 'call the owner' } })
    await put({ SourceServerID: { S: 's-wrong' }, Hostname: { N: '5' } })
    const { records: found, unreadableIds } = await records.list()
    expect(found).toEqual([
      {
        sourceServerId: 's-3a2a83fcdee292049',
        hostname: 'ip-10-1-10-150.us-east-2.compute.internal',
        replicationStartedAt: '2025-02-10T12:51:42.303Z',
        readyForTestAt: '2025-02-10T13:06:09.000Z',
        initialReplicationDurationMinutes: 14,
        replicatedStorageBytes: 18 * 2 ** 30,
        bandwidthThrottlingMbps: 0,
        replicationServerInstanceType: 't3.small',
      },
    ])
    expect(unreadableIds.sort()).toEqual(['s-note', 's-wrong'])
    await records.close()
  })

  it('are all listed when there are more than one answer holds', async () => {
    const records = onDynamoDb('records-many')
    const [disk] = sampleRecord('a').disks ?? []
    if (disk === undefined) throw new Error('No disk')
    const disks = Array.from({ length: 60 }, (_, index) => ({ ...disk, deviceName: `/dev/disk-${index}` }))
    const names = Array.from({ length: 320 }, (_, index) => String(index).padStart(3, '0'))
    await Promise.all(names.map((name) => records.add(sampleRecord(name, { disks }))))
    const found = await records.list()
    expect(JSON.stringify(found.records).length).toBeGreaterThan(2_000_000)
    expect(found.records.map(({ sourceServerId }) => sourceServerId).sort()).toEqual(
      names.map((name) => `s-${name}`),
    )
    await records.close()
  })
})
