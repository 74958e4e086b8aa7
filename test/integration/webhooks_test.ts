import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { EventEnvelope } from '../../domain/event_envelope.ts'
import type { SourceServerId } from '../../domain/ids.ts'
import type { RedisClient } from '../../queues/redis.ts'
import { createRedisClient } from '../../queues/redis.ts'
import { BullWebhookWakeUps } from '../../queues/webhook_wake_ups.ts'
import { listAll } from '../../store/listing.ts'
import type { Store } from '../../store/store.ts'
import type { Loop } from '../../workers/loop.ts'
import { startLoop } from '../../workers/loop.ts'
import { relayServer } from '../../workers/relay.ts'
import { LaneRunner } from '../../workers/webhooks/lane_runner.ts'
import { WebhookPool } from '../../workers/webhooks/pool.ts'
import { createPost } from '../../workers/webhooks/post.ts'
import { WebhookSender, wakeSenders } from '../../workers/webhooks/sender.ts'
import { CrashPlan, crashing } from '../fixtures/crash_plan.ts'
import { TestDynamoDb } from '../fixtures/dynamodb.ts'
import { TestRedis } from '../fixtures/redis.ts'
import { seedFor, seededRandom } from '../fixtures/seed.ts'
import { until } from '../fixtures/waiting.ts'
import {
  happen,
  putEndpoint,
  putQuietServer,
  runnerParts,
  testSecret,
  webhookBench,
} from '../fixtures/webhook_world.ts'

const quiet = (): void => undefined
const timeoutMs = 400

let redis: TestRedis
let dynamodb: TestDynamoDb
let store: Store

beforeAll(async () => {
  redis = await TestRedis.start()
  dynamodb = await TestDynamoDb.start()
  store = dynamodb.store()
  await store.initialise()
})

afterAll(async () => {
  await store.close()
  await redis.stop()
  await dynamodb.stop()
})

/** Everything wrong that a receiver may do with a request it has read. `isTaken`: it has noted the event all the same. */
const misdeeds: {
  name: string
  isTaken: boolean
  act: (response: ServerResponse, request: IncomingMessage) => void
}[] = [
  { name: 'fails', isTaken: false, act: (response) => void response.writeHead(500).end('broken') },
  { name: 'hangs', isTaken: false, act: quiet },
  {
    name: 'answers late',
    isTaken: true,
    act: (response) => void setTimeout(() => response.end('late'), 3 * timeoutMs),
  },
  {
    name: 'redirects',
    isTaken: false,
    act: (response) => void response.writeHead(307, { location: '/decoy' }).end(),
  },
  { name: 'resets', isTaken: false, act: (_response, request) => void request.socket.destroy() },
  {
    name: 'closes half-way',
    isTaken: true,
    act: (response, request) => {
      response.writeHead(200, { 'content-length': '50' }).write('half')
      setTimeout(() => request.socket.destroy(), 10)
    },
  },
  {
    name: 'trickles',
    isTaken: true,
    act: (response) => {
      const timer = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(timer))
    },
  },
]

/** A receiver that keeps what it takes by id, as one should, and what it does wrong by a plan. */
class NastyReceiver {
  /** By server, the sequences and sources of events as they were taken for the first time. */
  readonly taken = new Map<string, string[]>()
  readonly ids = new Set<string>()
  readonly repeatsAfterGood: string[] = []
  readonly wrongs: string[] = []
  readonly done = new Map<string, number>()
  decoys = 0
  misdeedCount = 0
  isGood = false
  readonly #answered = new Set<string>()
  readonly #random: () => number
  readonly #server: Server

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = []
      response.on('error', quiet)
      request.on('error', quiet)
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () => this.#receive(request, response, Buffer.concat(pieces).toString()))
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/in`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #receive(request: IncomingMessage, response: ServerResponse, body: string): void {
    if (request.url !== '/in') this.decoys++
    const id = String(request.headers['webhook-id'])
    if (!isSigned(request, body)) this.wrongs.push(`The signature of ${id} is wrong`)
    const envelope = JSON.parse(body) as EventEnvelope
    if (envelope.id !== id) this.wrongs.push(`${id} holds ${envelope.id}`)
    if (this.#answered.has(id)) this.repeatsAfterGood.push(id)
    const misdeed =
      this.isGood || this.#random() < 0.5 ? undefined : misdeeds[this.misdeedCount++ % misdeeds.length]
    if (misdeed === undefined || misdeed.isTaken) this.#take(envelope)
    if (misdeed === undefined) {
      this.#answered.add(id)
      response.end('taken')
      return
    }
    this.done.set(misdeed.name, (this.done.get(misdeed.name) ?? 0) + 1)
    misdeed.act(response, request)
  }

  #take(envelope: EventEnvelope): void {
    if (this.ids.has(envelope.id)) return
    this.ids.add(envelope.id)
    const server = String(envelope.resources[0]?.split('/').at(-1))
    this.taken.set(server, [...(this.taken.get(server) ?? []), String(envelope.detail['sequence'])])
  }
}

/** As the scheme says, and by nothing of the product. */
function isSigned(request: IncomingMessage, body: string): boolean {
  const [version, signature = ''] = String(request.headers['webhook-signature']).split(',')
  const [id, timestamp] = ['webhook-id', 'webhook-timestamp'].map((name) => String(request.headers[name]))
  const content = `${id}.${timestamp}.${body}`
  const key = Buffer.from(testSecret.slice('whsec_'.length), 'base64')
  const expected = createHmac('sha256', key).update(content).digest()
  const given = Buffer.from(signature, 'base64')
  const isYoung = Math.abs(Date.now() / 1000 - Number(timestamp)) < 300
  return version === 'v1' && isYoung && given.length === expected.length && timingSafeEqual(given, expected)
}

/** A worker process, as far as it has to do with events: dies when its plan says so, and then nothing of it changes anything. */
class WorkerProcess {
  readonly plan = new CrashPlan()
  readonly #client: RedisClient
  readonly #wakeUps: BullWebhookWakeUps
  readonly #pool: WebhookPool
  readonly #loop: Loop

  private constructor(client: RedisClient, number: number) {
    this.#client = client
    const mortal = crashing<Store>(store, this.plan, (name) => ['create', 'replace', 'remove'].includes(name))
    this.#wakeUps = new BullWebhookWakeUps(client, quiet)
    const bench = { ...webhookBench(mortal, () => new Date()), webhookWakeUps: this.#wakeUps }
    const runner = new LaneRunner(
      runnerParts(bench, `process-${number}`, createPost(), {
        timeoutMs,
        retryDelayMs: (attempts) => (attempts < 60 ? 50 : undefined),
      }),
    )
    this.#pool = new WebhookPool(client, new WebhookSender(bench, runner), bench.log)
    this.#loop = startLoop(
      50,
      async () => {
        for (const server of await listAll(mortal, 'server')) await relayServer(bench, server)
        await wakeSenders(bench)
      },
      quiet,
    )
  }

  static async start(number: number): Promise<WorkerProcess> {
    const client = createRedisClient(redis.url, quiet)
    await client.connect()
    return new WorkerProcess(client, number)
  }

  async close(): Promise<void> {
    await this.#loop.stop()
    await this.#pool.close()
    await this.#wakeUps.close()
    this.#client.destroy()
  }
}

it('a receiver that fails, hangs and lies gets every event exactly once by id and in order, though workers die and Redis is lost', async () => {
  const seed = seedFor('webhooks')
  const receiver = new NastyReceiver(seed)
  const url = await receiver.listen()
  const webhookId = await putEndpoint(store, url)
  const at = new Date().toISOString()
  const servers: SourceServerId[] = []
  for (let made = 0; made < 4; made++) servers.push(await putQuietServer(store, at))
  const perServer = 12
  const processes = [await WorkerProcess.start(1)]
  try {
    for (let round = 0; round < perServer; round++) {
      for (const id of servers) await happen(store, id, new Date().toISOString(), `Event ${round}`)
      const [oldest] = processes
      if (round === 3 || round === 7) {
        // It dies in the middle of what it does now, and another one takes its place.
        oldest?.plan.arm(3, round === 3)
        await until('it is dead', async () => (oldest?.plan.calls ?? 3) >= 3, 20_000, 10)
        await oldest?.close()
        processes[0] = await WorkerProcess.start(round)
      }
      if (round === 5) {
        await redis.kill()
        await redis.begin()
      }
    }
    await until(
      'all was done wrong, twice',
      async () => receiver.misdeedCount >= 2 * misdeeds.length,
      60_000,
      50,
    )
    receiver.isGood = true
    await until(
      'all is delivered',
      async () => {
        const lanes = await listAll(store, 'webhookLane', webhookId)
        const waiting = await listAll(store, 'server')
        return lanes.length === 0 && waiting.every(({ outbox }) => outbox.length === 0)
      },
      100_000,
    )
  } finally {
    for (const one of processes) await one.close()
    await receiver.close()
  }
  const wanted = Array.from({ length: perServer }, (_, index) => String(index + 1))
  expect(receiver.wrongs).toEqual([])
  expect(receiver.decoys).toBe(0)
  for (const id of servers) expect(receiver.taken.get(id), id).toEqual(wanted)
  expect(receiver.ids.size).toBe(servers.length * perServer)
  // What was answered well came again only where a worker died before it could write that down.
  expect(receiver.repeatsAfterGood.length).toBeLessThanOrEqual(2 * servers.length)
  const deliveries = await listAll(store, 'webhookDelivery', webhookId)
  expect(deliveries.map(({ state }) => state)).toEqual(deliveries.map(() => 'DELIVERED'))
  console.log(
    `${deliveries.length} deliveries; misdeeds: ${JSON.stringify(Object.fromEntries(receiver.done))}; repeated after a good answer: ${receiver.repeatsAfterGood.length}`,
  )
}, 180_000)
