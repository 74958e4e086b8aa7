import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withStaging } from '../../domain/actions.ts'
import { newSourceServer } from '../../domain/source_server.ts'
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
      AWS_ACCESS_KEY_ID: 'test',
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

describe('the worker process', () => {
  it('refuses a bad setting by its name', async () => {
    const running = start({ REHOST_REPLICATION_PORT: '70000' })
    expect(await exitOf(running)).not.toBe(0)
    expect(running.output()).toContain('REHOST_REPLICATION_PORT')
  })

  it('raises a staging area for a server that nobody has woken it for, and ends at SIGTERM', async () => {
    const { sourceServerId, sourceProperties, disks, agent } = testServer()
    const at = new Date().toISOString()
    await store.create('setting', { id: 'agent-url' }, { name: 'agent-url', value: 'https://127.0.0.1:8443' })
    await store.create('setting', { id: 'ca-certificate' }, { name: 'ca-certificate', value: 'pem' })
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

    const running = start()
    try {
      const id = await until('a replication server is launched', async () => {
        const { items } = await store.list('replicationServer')
        return items.find(({ value }) => value.address !== undefined)?.value.replicationServerId
      })
      // What the gateway does at its first heartbeat.
      await mutate(store, 'replicationServer', { id }, (own) => ({
        ...own,
        state: 'READY',
        lastSeenAt: new Date().toISOString(),
      }))
      const staged = await until('the staging area stands', async () => {
        const found = await store.get('server', { id: sourceServerId })
        return found?.value.activeTask === undefined && found?.value
      })
      expect(staged.replication).toMatchObject({ state: 'INITIATING', replicationServerId: id })
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

  it('ends at SIGTERM while Redis is away', async () => {
    const running = start()
    await until('it is ready', async () => running.output().includes('Ready'))
    await redis.kill()
    running.child.kill('SIGTERM')
    expect(await exitOf(running)).toBe(0)
    await redis.begin()
  })
})
