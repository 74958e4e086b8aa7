import { execFile } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { createAdaptorServer } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import { envelopesOf } from '../../../domain/event_envelope.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { initialise } from '../../../gateway/mgn/account.ts'
import { ensurePresetAccessKey } from '../../../gateway/people/access_keys.ts'
import { createDynamoRecords } from '../../../store/dynamodb/factory.ts'
import type { RecordStore } from '../../../store/records.ts'
import { recordReplication } from '../../../workers/replication_recorder.ts'
import { TestDynamoDb } from '../../fixtures/dynamodb.ts'
import { enrolServer, inventory, putServer, staged } from '../../unit/gateway/callers.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { testGateway } from '../../unit/gateway/support.ts'

/**
 * A recorder that users of MGN run for its event, with Debian's boto3 against the gateway's MGN API and a DynamoDB endpoint, beside Rehost's own.
 * The key is the same for both, as one process has one: an operator presets it by REHOST_ACCESS_KEY_ID.
 */
const ownTable = 'rehost_records'
const theirTable = 'mgn_initial_replication_info'
const secretAccessKey = 'a secret of the operator'
const script = join(import.meta.dirname, '../../fixtures/recorder_function.py')

let dynamodb: TestDynamoDb
let client: DynamoDBClient
let gateway: TestGateway
let port: number
let server: ReturnType<typeof createAdaptorServer>
let own: RecordStore
let theirs: RecordStore

beforeAll(async () => {
  dynamodb = await TestDynamoDb.start()
  const place = { endpoint: dynamodb.url, region: 'local' }
  client = new DynamoDBClient(place)
  own = createDynamoRecords(place, { name: ownTable, timeZone: 'Asia/Tokyo' })
  theirs = createDynamoRecords(place, { name: theirTable, timeZone: 'Asia/Tokyo' })
  await theirs.initialise()
  // Signatures hold for five minutes, and Python's clock is the real one.
  gateway = await testGateway({ realClock: true })
  await ensurePresetAccessKey(gateway.services, { accessKeyId: TestDynamoDb.accessKeyId, secretAccessKey })
  await initialise(gateway.store, gateway.now().toISOString())
  server = createAdaptorServer({ fetch: gateway.app.fetch.bind(gateway.app) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})

afterAll(async () => {
  await Promise.all([own.close(), theirs.close()])
  client.destroy()
  server.close()
  await gateway.close()
  await dynamodb.stop()
})

/** The event that Rehost tells of a server that has become ready for test, in MGN's words. */
function eventOf({ sourceServerId, outbox }: SourceServer): object {
  const origin = { accountId: '123456789012', region: 'eu-test-1' }
  const told = outbox
    .flatMap((event) => envelopesOf(origin, sourceServerId, event))
    .filter((envelope) => envelope['detail-type'] === 'MGN Source Server Lifecycle State Change')
  expect(told).toMatchObject([{ source: 'aws.mgn', detail: { state: 'READY_FOR_TEST' } }])
  return told[0] ?? {}
}

/** Runs the recorder. @throws with what it said when it fails. */
async function runTheirs(event: object, table: string): Promise<void> {
  const running = promisify(execFile)('/usr/bin/python3', [script], {
    env: {
      AWS_ACCESS_KEY_ID: TestDynamoDb.accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_DEFAULT_REGION: 'eu-test-1',
      AWS_ENDPOINT_URL_MGN: `http://127.0.0.1:${port}`,
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      RECORDER_TABLE: table,
    },
  })
  running.child.stdin?.end(JSON.stringify(event))
  await running
}

async function itemIn(table: string, id: string): Promise<Record<string, AttributeValue> | undefined> {
  const key = { SourceServerID: { S: id } }
  return (await client.send(new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true }))).Item
}

/** A server that the heartbeats of its agent have made ready, after a copy under a limit. */
async function copiedServer(hostname: string): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway, hostname, inventory(hostname))
  return putServer(gateway, sourceServerId, (enrolled) => {
    const from = Date.now() - 867_123
    const throttled = staged({
      ...enrolled,
      replicationConfiguration: { ...enrolled.replicationConfiguration, bandwidthThrottlingMbps: 300 },
    })
    const disks = throttled.disks.map(({ diskIndex, sizeBytes }) => ({
      diskIndex,
      replicatedBytes: sizeBytes,
      rescannedBytes: 0,
      backlogBytes: 0,
      tracker: { kind: 'tracefs', reason: 'The kernel reports every completed write' },
    }))
    const report = {
      generation: throttled.agent.generation,
      isConnected: true,
      firstByteAt: new Date(from).toISOString(),
      lagMs: null,
      notes: [],
    }
    const begun = applyHeartbeat(
      throttled,
      {
        ...report,
        state: 'INITIAL_SYNC',
        sentBytes: 0,
        disks: disks.map((disk) => ({ ...disk, replicatedBytes: 0 })),
      },
      new Date(from).toISOString(),
    )
    return applyHeartbeat(
      begun,
      { ...report, state: 'CONTINUOUS', sentBytes: 1_000_000, disks },
      new Date(from + 866_900).toISOString(),
    )
  })
}

describe('a recorder that users of MGN run', { timeout: 120_000 }, () => {
  const quiet = (): void => undefined
  const bench = () => ({
    store: gateway.store,
    changes: gateway.changes,
    records: own,
    clock: () => new Date(),
    log: { info: quiet, warn: quiet, error: quiet },
  })

  it('writes what Rehost writes, attribute by attribute, and nothing twice', async () => {
    const ready = await copiedServer('db-1')
    const { sourceServerId } = ready
    expect(ready.lifecycle.state).toBe('READY_FOR_TEST')
    await recordReplication(bench(), ready)
    const event = eventOf(ready)
    await runTheirs(event, theirTable)

    const written = await itemIn(theirTable, sourceServerId)
    const ours = await itemIn(ownTable, sourceServerId)
    expect(Object.keys(written ?? {}).sort()).toEqual([
      'BandwidthThrottlingMbps',
      'Hostname',
      'InitialReplicationDurationMinutes',
      'ReadyForTestTimeJST',
      'ReplicatedTotalStorageGB',
      'ReplicationServerInstanceType',
      'ReplicationStartTimeJST',
      'SourceServerID',
    ])
    for (const [name, value] of Object.entries(written ?? {})) expect(ours?.[name], name).toEqual(value)
    expect(written).toMatchObject({
      Hostname: { S: 'db-1' },
      InitialReplicationDurationMinutes: { N: '14' },
      BandwidthThrottlingMbps: { N: '300' },
      ReplicatedTotalStorageGB: { N: '3' },
    })
    expect(ours).toMatchObject({ WireBytes: { N: '1000000' }, TimeZone: { S: 'Asia/Tokyo' } })

    // The legacy condition holds on this endpoint, over their own item and over Rehost's.
    const again = { ...event, time: '2030-01-01T00:00:00Z' }
    for (const table of [theirTable, ownTable])
      await expect(runTheirs(again, table)).rejects.toThrow(/ConditionalCheckFailedException/)
    expect(await itemIn(theirTable, sourceServerId)).toEqual(written)
    expect(await itemIn(ownTable, sourceServerId)).toEqual(ours)
  })

  it('may come first in the same table: its item stays, is listed, and counts as the record', async () => {
    const ready = await copiedServer('db-2')
    await runTheirs(eventOf(ready), ownTable)
    const first = await itemIn(ownTable, ready.sourceServerId)
    await recordReplication(bench(), ready)
    expect(await itemIn(ownTable, ready.sourceServerId)).toEqual(first)
    const after = (await gateway.store.get('server', { id: ready.sourceServerId }))?.value
    expect(after?.initialReplication?.state).toBe('RECORDED')
    const { records, unreadableIds } = await own.list()
    expect(unreadableIds).toEqual([])
    expect(records.find(({ hostname }) => hostname === 'db-2')).toEqual({
      sourceServerId: ready.sourceServerId,
      hostname: 'db-2',
      replicationStartedAt: ready.lifecycle.firstByteAt,
      readyForTestAt: `${ready.lifecycle.readyForTestAt?.slice(0, 19)}.000Z`,
      initialReplicationDurationMinutes: 14,
      replicatedStorageBytes: 3 * 2 ** 30,
      bandwidthThrottlingMbps: 300,
      replicationServerInstanceType: 'local',
    })
  })
})
