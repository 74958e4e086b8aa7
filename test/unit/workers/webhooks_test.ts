import { beforeEach, describe, expect, it } from 'vitest'
import type { EventEnvelope } from '../../../domain/event_envelope.ts'
import type { SourceServerId, WebhookId } from '../../../domain/ids.ts'
import type { WebhookDelivery } from '../../../domain/webhook.ts'
import { repeatDelivery } from '../../../store/deliveries.ts'
import { feedEnd, readFeed } from '../../../store/event_feed.ts'
import { listAll } from '../../../store/listing.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { mutate } from '../../../store/mutate.ts'
import type { Store } from '../../../store/store.ts'
import type { RelayBench } from '../../../workers/relay.ts'
import { sweepEvents } from '../../../workers/event_sweep.ts'
import { relayById } from '../../../workers/relay.ts'
import { LaneRunner } from '../../../workers/webhooks/lane_runner.ts'
import type { Post, PostResult } from '../../../workers/webhooks/post.ts'
import { WebhookSender, wakeSenders } from '../../../workers/webhooks/sender.ts'
import { sweepWebhooks } from '../../../workers/webhooks/sweep.ts'
import { Crash, CrashPlan, crashing } from '../../fixtures/crash_plan.ts'
import {
  happen,
  putEndpoint,
  putQuietServer,
  runnerParts,
  webhookBench,
} from '../../fixtures/webhook_world.ts'

const stop = new AbortController().signal

let real: MemoryStore
let plan: CrashPlan
let store: Store
let nowMs: number
let bench: RelayBench & { random: (length: number) => Uint8Array }
let one: SourceServerId
let other: SourceServerId
/** What the receiver was sent, oldest first, and what it answers by event. */
let sent: { url: string; body: EventEnvelope; headers: Record<string, string> }[]
let answer: (body: EventEnvelope) => PostResult

beforeEach(async () => {
  real = new MemoryStore()
  plan = new CrashPlan()
  store = crashing<Store>(real, plan, (name) => ['create', 'replace', 'remove'].includes(name))
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  bench = webhookBench(store, () => new Date(nowMs++))
  one = await putQuietServer(real, at())
  other = await putQuietServer(real, at())
  sent = []
  answer = () => ({ statusCode: 200 })
})

const at = (): string => new Date(nowMs).toISOString()

const post: Post = async ({ url, body, headers }) => {
  const envelope = JSON.parse(body) as EventEnvelope
  sent.push({ url, body: envelope, headers })
  return answer(envelope)
}

let owners = 0

async function send(webhookId: WebhookId): Promise<void> {
  const runner = new LaneRunner(runnerParts(bench, `sender-${++owners}`, post))
  await new WebhookSender(bench, runner).run(webhookId, stop)
}

/** Events happen to `id` and are relayed. */
async function tell(id: SourceServerId, count: number): Promise<void> {
  for (let made = 0; made < count; made++) await happen(real, id, at())
  await relayById(bench, id)
}

const sequences = (id: SourceServerId): number[] =>
  sent
    .filter(({ body }) => body.detail['source-server-id'] === id)
    .map(({ body }) => Number(body.detail['sequence']))

const deliveries = (webhookId: WebhookId): Promise<WebhookDelivery[]> =>
  listAll(real, 'webhookDelivery', webhookId)

describe('webhooks', () => {
  it('get every event once and in order, and nothing is left to do', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 3)
    await tell(other, 2)
    await tell(one, 1)
    await send(id)
    expect(sequences(one)).toEqual([1, 2, 3, 4])
    expect(sequences(other)).toEqual([1, 2])
    expect(await listAll(real, 'webhookLane', id)).toEqual([])
    expect((await deliveries(id)).map(({ state, attempts }) => `${state} ${attempts}`)).toEqual(
      Array.from({ length: 6 }, () => 'DELIVERED 1'),
    )
    await send(id)
    expect(sent).toHaveLength(6)
  })

  it('get what their pattern wants and nothing from before they were made or while they are disabled', async () => {
    await tell(one, 1)
    const agent = await putEndpoint(real, 'https://agent.example/', {
      pattern: { detail: { sequence: [{ numeric: ['>', 2] }] } },
    })
    const none = await putEndpoint(real, 'https://none.example/', { pattern: { source: ['aws.mgn'] } })
    const off = await putEndpoint(real, 'https://off.example/', { isEnabled: false })
    await tell(one, 3)
    for (const id of [agent, none, off]) await send(id)
    expect(sequences(one)).toEqual([3, 4])
    expect(await deliveries(off)).toEqual([])
  })

  it('wait for one that fails, those of its server only, and longer after each failure', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    answer = ({ detail }) =>
      detail['source-server-id'] === one && detail['sequence'] === 1
        ? { statusCode: 500, problem: 'Answered 500' }
        : { statusCode: 204 }
    await tell(one, 2)
    await tell(other, 2)
    await send(id)
    expect(sequences(one)).toEqual([1])
    expect(sequences(other)).toEqual([1, 2])
    const waits: number[] = []
    for (let attempt = 1; attempt <= 3; attempt++) {
      const [lane] = await listAll(real, 'webhookLane', id)
      waits.push(Date.parse(lane?.nextAttemptAt ?? '') - nowMs)
      nowMs = Date.parse(lane?.nextAttemptAt ?? '')
      if (attempt === 3) answer = () => ({ statusCode: 200 })
      await send(id)
    }
    expect(sequences(one)).toEqual([1, 1, 1, 1, 2])
    for (const [place, base] of [5000, 30_000, 120_000].entries()) {
      expect(waits[place]).toBeGreaterThan(base * 0.79)
      expect(waits[place]).toBeLessThan(base * 1.21)
    }
    const tries = await listAll(real, 'webhookAttempt', id)
    const first = tries.filter(({ laneId, deliveryId }) => laneId === one && deliveryId.endsWith('1.1'))
    expect(
      first.map(({ attempt, outcome, statusCode, problem }) => [attempt, outcome, statusCode, problem]),
    ).toEqual([
      [1, 'FAILED', 500, 'Answered 500'],
      [2, 'FAILED', 500, 'Answered 500'],
      [3, 'FAILED', 500, 'Answered 500'],
      [4, 'DELIVERED', 200, undefined],
    ])
  })

  it('give up after days, and what is behind a dead letter goes on', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    answer = ({ detail }) =>
      detail['sequence'] === 1 ? { problem: 'Connection refused' } : { statusCode: 200 }
    await tell(one, 2)
    const begunMs = nowMs
    for (let tries = 0; tries < 50; tries++) {
      await send(id)
      const [lane] = await listAll(real, 'webhookLane', id)
      if (lane === undefined) break
      nowMs = Date.parse(lane.nextAttemptAt ?? '')
    }
    expect((await deliveries(id)).map(({ state, attempts }) => `${state} ${attempts}`)).toEqual([
      'DEAD 12',
      'DELIVERED 1',
    ])
    const days = (nowMs - begunMs) / 86_400_000
    expect(days).toBeGreaterThan(2)
    expect(days).toBeLessThan(5)
    // A dead letter is delivered after all when somebody replays it, with the same id.
    answer = () => ({ statusCode: 200 })
    const [dead] = await deliveries(id)
    if (dead === undefined) throw new Error('No dead letter')
    await repeatDelivery(real, dead, dead.createdAt)
    await send(id)
    expect(sent.at(-1)?.headers['webhook-id']).toBe(dead.eventId)
    expect((await deliveries(id)).map(({ state }) => state)).toEqual(['DELIVERED', 'DELIVERED'])
  })

  it('get what is replayed before what waits, and then that too, at once', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    answer = ({ detail }) =>
      detail['sequence'] === 3 ? { problem: 'Connection refused' } : { statusCode: 200 }
    await tell(one, 3)
    await send(id)
    answer = () => ({ statusCode: 200 })
    const [first] = await deliveries(id)
    if (first === undefined) throw new Error('Nothing was delivered')
    await repeatDelivery(real, first, first.createdAt)
    await send(id)
    expect(sequences(one)).toEqual([1, 2, 3, 1, 3])
  })

  it('are disabled by 410, keep what waits, and go on with it once enabled', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    answer = () => ({ statusCode: 410, problem: 'Answered 410' })
    await tell(one, 2)
    await send(id)
    const endpoint = (await real.get('webhook', { id }))?.value
    expect(endpoint).toMatchObject({
      isEnabled: false,
      disabledBecause: expect.stringContaining('410 (gone)'),
    })
    await send(id)
    expect(sequences(one)).toEqual([1])
    answer = () => ({ statusCode: 200 })
    await mutate(real, 'webhook', { id }, (own) => ({ ...own, isEnabled: true }))
    await send(id)
    expect(sequences(one)).toEqual([1, 1, 2])
  })

  it('are sent to by one sender at a time', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 5)
    await Promise.all([send(id), send(id), send(id)])
    expect(sequences(one)).toEqual([1, 2, 3, 4, 5])
  })

  it('get what is added at the moment at which a sender sees that nothing is left', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 1)
    let added = 0
    bench.store = new Proxy(real, {
      get: (own, name) => {
        const value: unknown = Reflect.get(own, name, own)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          const found = (await Reflect.apply(value, own, args)) as { items?: unknown[] }
          // Nothing of the lane is left: it has just been looked at, and not been removed yet.
          const isEnd = name === 'list' && args[0] === 'webhookDelivery' && found.items?.length === 0
          if (isEnd && added++ === 0) {
            await happen(real, one, at())
            await relayById({ ...bench, store: real }, one)
          }
          return found
        }
      },
    })
    await send(id)
    expect(added).toBe(2)
    expect(sequences(one)).toEqual([1, 2])
    expect(await listAll(real, 'webhookLane', id)).toEqual([])
  })

  it('are left to the sender that has taken over from one that was thought dead', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 3)
    let isFirst = true
    const slow: Post = async (request) => {
      const result = await post(request)
      if (!isFirst) return result
      isFirst = false
      nowMs += 60_000
      answer = ({ detail }) =>
        detail['sequence'] === 2 ? { problem: 'Connection refused' } : { statusCode: 200 }
      await send(id)
      return result
    }
    await new LaneRunner(runnerParts(bench, 'slow', slow)).run(id, one, stop)
    // The slow one goes no further, and does not undo that the other one waits.
    expect(sequences(one)).toEqual([1, 1, 2])
    const [lane] = await listAll(real, 'webhookLane', id)
    expect(Date.parse(lane?.nextAttemptAt ?? '')).toBeGreaterThan(nowMs)
  })

  it('stay delivered when a sender that was thought dead comes back with a failure', async () => {
    const webhookId = await putEndpoint(real, 'https://x.example/')
    await tell(one, 2)
    const frozen: Post = async () => {
      nowMs += 60_000
      await send(webhookId)
      return { statusCode: 500, problem: 'Answered 500' }
    }
    await new LaneRunner(runnerParts(bench, 'frozen', frozen)).run(webhookId, one, stop)
    expect(sequences(one)).toEqual([1, 2])
    expect((await deliveries(webhookId)).map(({ state, attempts }) => [state, attempts])).toEqual([
      ['DELIVERED', 1],
      ['DELIVERED', 1],
    ])
    expect(await listAll(real, 'webhookLane', webhookId)).toEqual([])
  })

  it('are woken for what is due, and not for what waits', async () => {
    const woken: WebhookId[] = []
    bench.webhookWakeUps.add = async (webhookId) => void woken.push(webhookId)
    const id = await putEndpoint(real, 'https://receiver.example/')
    await putEndpoint(real, 'https://idle.example/', { pattern: { source: ['nobody'] } })
    answer = () => ({ problem: 'Connection refused' })
    await tell(one, 1)
    expect(woken).toEqual([id])
    await send(id)
    await wakeSenders(bench)
    expect(woken).toEqual([id])
    nowMs += 10_000
    await wakeSenders(bench)
    expect(woken).toEqual([id, id])
  })

  it('forget after a month what is settled, and nothing else', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 1)
    await send(id)
    answer = () => ({ problem: 'Connection refused' })
    await tell(one, 1)
    await send(id)
    nowMs += 29 * 86_400_000
    await sweepWebhooks(bench)
    expect(await deliveries(id)).toHaveLength(2)
    nowMs += 2 * 86_400_000
    await sweepWebhooks(bench)
    expect((await deliveries(id)).map(({ state }) => state)).toEqual(['PENDING'])
    expect(await listAll(real, 'webhookAttempt', id)).toEqual([])
  })

  it('leave nothing behind of an endpoint that was deleted while events were addressed to it', async () => {
    const id = await putEndpoint(real, 'https://receiver.example/')
    await tell(one, 2)
    await real.remove('webhook', { id })
    await send(id)
    expect(sent).toEqual([])
    expect(await deliveries(id)).toEqual([])
    expect(await listAll(real, 'webhookLane', id)).toEqual([])
  })

  it('lose and repeat nothing when the process dies at any of its writes', async () => {
    let crashes = 0
    for (const isAfter of [false, true]) {
      for (let call = 1; ; call++) {
        sent = []
        const id = await putEndpoint(real, 'https://receiver.example/')
        const server = await putQuietServer(real, at())
        for (let made = 0; made < 3; made++) await happen(real, server, at())
        plan.arm(call, isAfter)
        let isCrashed = false
        for (let turn = 0; turn < 3; turn++) {
          try {
            await relayById(bench, server)
            await send(id)
          } catch (error) {
            if (!(error instanceof Crash)) throw error
          }
          // The sender keeps such trouble to itself.
          isCrashed ||= plan.calls >= call
          plan.revive()
          // The dead sender's lease runs out.
          nowMs += 60_000
        }
        const place = `write ${call}, ${isAfter ? 'after' : 'before'} its effect`
        const unique = [...new Set(sequences(server))]
        expect(unique, place).toEqual([1, 2, 3])
        // At most the one that was being sent is sent again, and nothing comes after a later one.
        expect(sequences(server).length, place).toBeLessThanOrEqual(4)
        expect(sequences(server), place).toEqual(sequences(server).toSorted((left, right) => left - right))
        expect(
          (await deliveries(id)).map(({ state }) => state),
          place,
        ).toEqual(['DELIVERED', 'DELIVERED', 'DELIVERED'])
        expect(await listAll(real, 'webhookLane', id), place).toEqual([])
        expect((await real.get('server', { id: server }))?.value.outbox, place).toEqual([])
        await real.remove('webhook', { id })
        if (!isCrashed) break
        crashes++
      }
    }
    expect(crashes).toBeGreaterThan(40)
  })
})

describe('sweepEvents()', () => {
  it('goes on behind an event of a clock that was years ahead', async () => {
    const before = nowMs
    nowMs += 3 * 365 * 86_400_000
    await tell(other, 1)
    nowMs = before
    await tell(one, 2)
    nowMs += 31 * 86_400_000
    await tell(one, 1)
    await sweepEvents(bench)
    expect(await places()).toEqual([1, 4])
  })

  const places = async (): Promise<number[]> =>
    (await listAll(real, 'eventFeed')).map(({ position }) => position)
  const listed = async (id: SourceServerId): Promise<number[]> =>
    (await listAll(real, 'serverEvent', id)).map(({ sequence }) => sequence)

  it('takes old places away, and old events of servers that are gone, but for the last place', async () => {
    await tell(one, 2)
    await tell(other, 2)
    await real.remove('server', { id: other })
    nowMs += 29 * 86_400_000
    await tell(one, 1)
    await sweepEvents(bench)
    expect(await places()).toEqual([1, 2, 3, 4, 5])
    nowMs += 2 * 86_400_000
    await sweepEvents(bench)
    expect(await places()).toEqual([5])
    expect([await listed(one), await listed(other)]).toEqual([[1, 2, 3], []])
    nowMs += 31 * 86_400_000
    await sweepEvents(bench)
    expect(await places()).toEqual([5])
    await tell(one, 1)
    expect(await places()).toEqual([5, 6])
    expect((await readFeed(real, 0, 10)).events.map(({ event }) => event.sequence)).toEqual([3, 4])
  })
})

describe('the feed of events', () => {
  it('has each event of all servers at one place, without gaps, however many relay at a time', async () => {
    for (let round = 0; round < 5; round++) {
      for (const id of [one, other]) await happen(real, id, at())
      await Promise.all([one, other, one, other].map((id) => relayById(bench, id)))
    }
    const { events, last, isEnd } = await readFeed(real, 0, 1000)
    expect(
      events.map(({ sourceServerId, event }) => `${sourceServerId} ${event.sequence}`).toSorted(),
    ).toEqual([one, other].flatMap((id) => [1, 2, 3, 4, 5].map((sequence) => `${id} ${sequence}`)).toSorted())
    expect(isEnd).toBe(true)
    expect(last).toBe(await feedEnd(real))
    expect(events.map(({ position }) => position)).toEqual(events.map(({ event }) => event.position))
  })

  it('goes on where a reader was, and has no event twice when a relay dies at any of its writes', async () => {
    for (const isAfter of [false, true]) {
      for (let call = 1; ; call++) {
        const from = await feedEnd(real)
        const server = await putQuietServer(real, at())
        for (let made = 0; made < 2; made++) await happen(real, server, at())
        plan.arm(call, isAfter)
        let isCrashed = false
        try {
          await relayById(bench, server)
        } catch (error) {
          if (!(error instanceof Crash)) throw error
          isCrashed = true
        }
        plan.revive()
        // A reader may come before the next relay.
        const early = await readFeed(real, from, 10)
        await relayById(bench, server)
        const late = await readFeed(real, early.last, 10)
        const read = [...early.events, ...late.events].map(({ event }) => event.sequence)
        expect(read, `write ${call}`).toEqual([1, 2])
        if (!isCrashed) break
      }
    }
  })
})
