import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withStaging } from '../../domain/actions.ts'
import { newId } from '../../domain/ids.ts'
import type { SourceServerId } from '../../domain/ids.ts'
import { newSourceServer } from '../../domain/source_server.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { createRedisClient } from '../../queues/redis.ts'
import { createDynamoRecords } from '../../store/dynamodb/factory.ts'
import { mutate } from '../../store/mutate.ts'
import type { Store } from '../../store/store.ts'
import { TestDynamoDb } from '../fixtures/dynamodb.ts'
import { TestRedis } from '../fixtures/redis.ts'
import { testServer } from '../fixtures/source_server.ts'
import { until } from '../fixtures/waiting.ts'

const main = join(import.meta.dirname, '../../workers/main.ts')

let redis: TestRedis
let dynamodb: TestDynamoDb
let store: Store
let folder: string

beforeAll(async () => {
  redis = await TestRedis.start()
  dynamodb = await TestDynamoDb.start()
  store = dynamodb.store()
  await store.initialise()
  folder = await mkdtemp(join(tmpdir(), 'rehost-workers-'))
  await store.create('setting', { id: 'agent-url' }, { name: 'agent-url', value: 'https://127.0.0.1:8443' })
  await store.create('setting', { id: 'ca-certificate' }, { name: 'ca-certificate', value: 'pem' })
})

afterAll(async () => {
  await store.close()
  await dynamodb.stop()
  await redis.stop()
  await rm(folder, { recursive: true, force: true })
})

interface Running {
  child: ChildProcess
  output(): string
}

function start(overrides: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    env: {
      PATH: process.env['PATH'],
      REHOST_DATA_DIR: folder,
      REHOST_CLOUD: 'memory',
      REHOST_TABLE: 'rehost-test',
      REDIS_URL: redis.url,
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_REGION: 'local',
      AWS_ACCESS_KEY_ID: TestDynamoDb.accessKeyId,
      AWS_SECRET_ACCESS_KEY: 'test',
      ...overrides,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return { child, output: () => text }
}

async function exitOf({ child }: Running): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit')
  return child.exitCode
}

/** A server that has just enrolled, as the gateway would have made it. */
async function enrol(): Promise<SourceServerId> {
  const { sourceProperties, disks, agent } = testServer()
  const sourceServerId = newId('sourceServer')
  const at = new Date().toISOString()
  const bare = disks.map(({ volumeId: _volume, devicePath: _path, ...disk }) => ({
    ...disk,
    sizeBytes: 1024 ** 2,
  }))
  const server = newSourceServer({
    sourceServerId,
    at,
    sourceProperties,
    disks: bare,
    agent: { ...agent, lastSeenAt: at },
  })
  await store.create('server', { id: sourceServerId }, withStaging(server, at))
  return sourceServerId
}

/** What the gateway does at the first heartbeats of replication servers. There may be several: a new process knows no volume any more. */
async function answerForReplicationServers(): Promise<void> {
  for (const { value } of (await store.list('replicationServer')).items) {
    if (value.address === undefined || value.state !== 'LAUNCHING') continue
    const lastSeenAt = new Date().toISOString()
    await mutate(store, 'replicationServer', { id: value.replicationServerId }, (own) => ({
      ...own,
      state: 'READY',
      lastSeenAt,
    }))
  }
}

function untilStaged(id: SourceServerId): Promise<SourceServer> {
  return until('the staging area stands', async () => {
    await answerForReplicationServers()
    const found = await store.get('server', { id })
    return found?.value.activeTask === undefined && found?.value
  })
}

describe('the worker process', () => {
  it('refuses a bad setting by its name', async () => {
    const running = start({ REHOST_REPLICATION_PORT: '70000' })
    expect(await exitOf(running)).not.toBe(0)
    expect(running.output()).toContain('REHOST_REPLICATION_PORT')
  })

  it('raises a staging area for a server that nobody has woken it for, and ends at SIGTERM', async () => {
    const sourceServerId = await enrol()
    const running = start()
    try {
      const staged = await untilStaged(sourceServerId)
      const [raised] = (await store.list('replicationServer')).items
      expect(staged.replication).toMatchObject({
        state: 'INITIATING',
        replicationServerId: raised?.value.replicationServerId,
      })
      expect(staged.disks[0]?.volumeId).toMatch(/^vol-/)
      await until('the events are listed', async () => {
        const { items } = await store.list('serverEvent', { parent: sourceServerId })
        return items.length === staged.eventSequence
      })
    } finally {
      running.child.kill('SIGTERM')
    }
    expect(await exitOf(running), running.output()).toBe(0)
    expect(running.output()).not.toContain('"level":50')
  })

  it('makes the table of records, and writes that of a server that became ready while no worker ran', async () => {
    const sourceServerId = newId('sourceServer')
    const lifecycle = { firstByteAt: '2026-03-01T11:00:00.250Z', readyForTestAt: '2026-03-01T12:30:00.750Z' }
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS', { sourceServerId })
    await store.create(
      'server',
      { id: sourceServerId },
      {
        ...server,
        agent: { ...server.agent, lastSeenAt: new Date().toISOString() },
        lifecycle: { ...server.lifecycle, ...lifecycle },
      },
    )
    const place = { endpoint: dynamodb.url, region: 'local' }
    const records = createDynamoRecords(place, { name: 'mgn_initial_replication_info', timeZone: 'UTC' })
    const running = start({ REHOST_RECORD_TIME_ZONE: 'Asia/Tokyo' })
    try {
      await until('the server says so', async () => {
        const found = await store.get('server', { id: sourceServerId })
        return found?.value.initialReplication?.state === 'RECORDED'
      })
      expect((await records.list()).records).toMatchObject([
        {
          sourceServerId,
          replicationStartedAt: lifecycle.firstByteAt,
          readyForTestAt: '2026-03-01T12:30:00.000Z',
          initialReplicationDurationMinutes: 89,
        },
      ])
    } finally {
      running.child.kill('SIGTERM')
      await records.close()
    }
    expect(await exitOf(running)).toBe(0)
    await store.remove('server', { id: sourceServerId })
  })

  it('goes on when the store is killed in the middle and comes back, and says so by name', async () => {
    const running = start()
    try {
      await until('it is ready', async () => running.output().includes('Ready'))
      await dynamodb.kill()
      await until('it has noticed', async () => running.output().includes('Cannot reach the store'))
      await dynamodb.begin()
      const sourceServerId = await enrol()
      expect((await untilStaged(sourceServerId)).disks[0]?.volumeId).toMatch(/^vol-/)
    } finally {
      running.child.kill('SIGTERM')
    }
    expect(await exitOf(running)).toBe(0)
    const told = running.output().match(/Cannot reconcile: Cannot reach the store/g) ?? []
    expect(told.length).toBeLessThanOrEqual(2)
  })

  it('starts on a Redis that may not be asked for its settings, as managed ones are, and says so', async () => {
    const client = createRedisClient(redis.url, () => undefined)
    await client.connect()
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-config'])
    const running = start()
    try {
      await until('it is ready', async () => {
        if (running.child.exitCode !== null) throw new Error(`It has ended: ${running.output()}`)
        return running.output().includes('Ready')
      })
    } finally {
      running.child.kill('SIGTERM')
      await client.sendCommand(['ACL', 'SETUSER', 'default', '+config'])
      client.destroy()
    }
    expect(await exitOf(running)).toBe(0)
    expect(running.output()).toMatch(/"level":40.*Cannot ask Redis for its maxmemory-policy.*NOPERM/)
  })

  it('ends at SIGTERM while Redis is away', async () => {
    const running = start()
    await until('it is ready', async () => running.output().includes('Ready'))
    await redis.kill()
    running.child.kill('SIGTERM')
    expect(await exitOf(running)).toBe(0)
    await redis.begin()
  })
})
