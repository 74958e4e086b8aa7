/**
 * Puts a large fleet into the store of a running service: agents that enrolled as any does, and servers beside them that nobody hears of here.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Store } from '../../store/store.ts'
import { newId } from '../../domain/ids.ts'
import { mutate } from '../../store/mutate.ts'
import { DynamoStore } from '../../store/dynamodb/store.ts'

const writesAtOnce = 16

/** The store of the service whose gateway is process `pid`: only its own environment knows the key of the embedded one. */
export async function storeOfProcess(pid: number): Promise<Store> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8')
  const environment = new Map(
    text.split('\0').map((line) => {
      const cut = line.indexOf('=')
      return [line.slice(0, cut), line.slice(cut + 1)] as const
    }),
  )
  const need = (name: string): string => {
    const value = environment.get(name)
    if (value === undefined) throw new Error(`Cannot find ${name} in the environment of process ${pid}`)
    return value
  }
  const client = new DynamoDBClient({
    endpoint: need('AWS_ENDPOINT_URL_DYNAMODB'),
    region: 'local',
    credentials: {
      accessKeyId: need('REHOST_STORE_ACCESS_KEY_ID'),
      secretAccessKey: need('REHOST_STORE_SECRET_ACCESS_KEY'),
    },
  })
  return new DynamoStore(client, need('REHOST_TABLE'), () => crypto.randomUUID())
}

async function forEach<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<unknown>,
): Promise<void> {
  for (let first = 0; first < items.length; first += writesAtOnce)
    await Promise.all(
      items.slice(first, first + writesAtOnce).map((item, index) => work(item, first + index)),
    )
}

/** A server whose copy is current: nothing is being done for it. */
function inContinuousMode(
  server: SourceServer,
  replicationServerId: ReplicationServer['replicationServerId'],
): SourceServer {
  const { activeTask: _done, ...rest } = server
  const at = server.createdAt
  return {
    ...rest,
    lifecycle: { ...server.lifecycle, state: 'READY_FOR_TEST', readyForTestAt: at },
    replication: { ...server.replication, state: 'CONTINUOUS', replicationServerId, lastConsistentAt: at },
    agent: { ...server.agent, generation: 1, lastSeenAt: at },
    disks: server.disks.map((disk) => ({
      ...disk,
      volumeId: newId('volume'),
      devicePath: `/bench/${disk.diskIndex}`,
      replicatedBytes: disk.sizeBytes,
      tracker: { kind: 'tracefs', reason: 'The kernel shows every completed write of this device' },
    })),
    outbox: [],
  }
}

/** Brings the enrolled servers into continuous mode and adds others like them until there are `count`. */
export async function seedFleet(store: Store, enrolledIds: readonly string[], count: number): Promise<void> {
  const replicationServerId = newId('replicationServer')
  await store.create(
    'replicationServer',
    { id: replicationServerId },
    {
      replicationServerId,
      createdAt: new Date().toISOString(),
      state: 'READY',
      address: '127.0.0.1',
      port: 1500,
    },
  )
  const servers: SourceServer[] = []
  await forEach(enrolledIds, async (id) => {
    const { value } = await mutate(store, 'server', { id }, (server) =>
      inContinuousMode(server, replicationServerId),
    )
    servers.push(value)
  })
  const others = Array.from({ length: count - servers.length }, (_, index) => index)
  await forEach(others, async (index) => {
    const like = servers[index % servers.length]
    if (like === undefined) throw new Error('A fleet needs an enrolled server to be like')
    const sourceServerId = newId('sourceServer')
    const hostname = `other-${String(index).padStart(5, '0')}`
    const hints = { ...like.sourceProperties.identificationHints, hostname, fqdn: `${hostname}.example.com` }
    const sourceProperties = { ...like.sourceProperties, identificationHints: hints }
    await store.create('server', { id: sourceServerId }, { ...like, sourceServerId, sourceProperties })
  })
}
