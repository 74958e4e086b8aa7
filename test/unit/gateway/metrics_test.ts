import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SourceServerId, WebhookId } from '../../../domain/ids.ts'
import { RequestRates } from '../../../gateway/request_rates.ts'
import { relayById } from '../../../workers/relay.ts'
import { LaneRunner } from '../../../workers/webhooks/lane_runner.ts'
import type { PostResult } from '../../../workers/webhooks/post.ts'
import {
  happen,
  putEndpoint,
  putQuietServer,
  runnerParts,
  webhookBench,
} from '../../fixtures/webhook_world.ts'
import { newKey, sign } from './mgn/signer.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const metrics = async () => (await gateway.app.request('/metrics')).text()

describe('/metrics of webhooks', () => {
  const own = { source: ['rehost' as const] }

  async function tell(server: SourceServerId): Promise<void> {
    await happen(gateway.store, server, gateway.now().toISOString())
    await relayById(webhookBench(gateway.store, gateway.now), server)
  }

  async function send(
    webhook: WebhookId,
    lane: SourceServerId | 'test',
    answer: PostResult,
    delayMs?: number,
  ): Promise<void> {
    const parts = runnerParts(
      webhookBench(gateway.store, gateway.now),
      'sender',
      () => Promise.resolve(answer),
      { retryDelayMs: () => delayMs },
    )
    await new LaneRunner(parts).run(webhook, lane, new AbortController().signal)
  }

  const samples = async (name: string, webhook: WebhookId) =>
    (await metrics())
      .split('\n')
      .filter((line) => line.startsWith(`rehost_webhook_${name}{webhook_id="${webhook}"`))
      .map((line) => Number(line.split(' ').at(-1)))

  it('tell what waits, for how long, and what became of the tries', async () => {
    const webhook = await putEndpoint(gateway.store, 'https://hooks.example/in', { pattern: own })
    const off = await putEndpoint(gateway.store, 'https://off.example/in', { isEnabled: false })
    const [one, other] = [
      await putQuietServer(gateway.store, gateway.now().toISOString()),
      await putQuietServer(gateway.store, gateway.now().toISOString()),
    ]
    expect(await samples('lanes_waiting', webhook)).toEqual([0])
    expect(await samples('oldest_waiting_seconds', webhook)).toEqual([0])
    expect([await samples('enabled', webhook), await samples('enabled', off)]).toEqual([[1], [0]])

    await tell(one)
    gateway.pass(20_000)
    await tell(other)
    await send(webhook, one, { problem: 'No answer' }, 5000)
    gateway.pass(10_000)
    expect(await samples('lanes_waiting', webhook)).toEqual([2])
    expect(await samples('oldest_waiting_seconds', webhook)).toEqual([30])

    await send(webhook, other, { statusCode: 200 })
    await send(webhook, one, { problem: 'No answer' })
    gateway.pass(100_000)
    expect(await samples('lanes_waiting', webhook)).toEqual([0])
    // Delivered, failed, dead: each is counted once, however often it is looked at.
    for (let look = 0; look < 3; look++) {
      expect(await samples('attempts_total', webhook)).toEqual([1, 1, 1])
      gateway.pass(20_000)
    }
    expect(await samples('attempts_total', off)).toEqual([0, 0, 0])
  })

  it('count a try that is written down after later ones', async () => {
    const webhook = await putEndpoint(gateway.store, 'https://hooks.example/in', { pattern: own })
    const attempt = (at: string) =>
      gateway.store.create(
        'webhookAttempt',
        { parent: webhook, id: `${at}.test.000000000000001.1.1` },
        {
          at,
          deliveryId: 'test.000000000000001.1',
          eventId: 'e',
          detailType: 't',
          laneId: 'test',
          attempt: 1,
          outcome: 'DELIVERED',
          durationMs: 1,
        },
      )
    const slow = new Date(gateway.now().getTime() + 1000).toISOString()
    gateway.pass(50_000)
    await attempt(gateway.now().toISOString())
    await metrics()
    gateway.pass(11_000)
    await attempt(slow)
    gateway.pass(100_000)
    expect(await samples('attempts_total', webhook)).toEqual([2, 0, 0])
  })

  it('count from when what is sent again was asked for', async () => {
    const webhook = await putEndpoint(gateway.store, 'https://hooks.example/in', { pattern: own })
    const server = await putQuietServer(gateway.store, gateway.now().toISOString())
    await tell(server)
    await send(webhook, server, { statusCode: 200 })
    gateway.pass(86_400_000)
    const token = await gateway.apiToken()
    const { items } = await gateway.store.list('webhookDelivery', { parent: webhook })
    const path = `/api/v1/webhooks/${webhook}/deliveries/${items[0]?.value.deliveryId}/redeliver`
    const headers = { authorization: `Bearer ${token}` }
    expect((await gateway.app.request(path, { method: 'POST', headers })).status).toBe(202)
    gateway.pass(5000)
    await send(webhook, server, { problem: 'No answer' }, 60_000)
    gateway.pass(10_000)
    expect(await samples('oldest_waiting_seconds', webhook)).toEqual([15])
  })

  it('are read from the store now and then, not with each look, and left out while it is away', async () => {
    const webhook = await putEndpoint(gateway.store, 'https://hooks.example/in')
    const list = vi.spyOn(gateway.store, 'list')
    const reads = () => list.mock.calls.filter(([kind]) => kind.startsWith('webhook')).length
    await metrics()
    const once = reads()
    for (let look = 0; look < 5; look++) await metrics()
    expect(reads()).toBe(once)
    gateway.pass(10_000)
    await metrics()
    expect(reads()).toBe(2 * once)

    gateway.pass(10_000)
    list.mockRejectedValueOnce(new Error('The store is away'))
    const { webhookFigures } = gateway.services
    await expect(webhookFigures.read()).rejects.toThrow('The store is away')
    list.mockImplementation((kind) =>
      kind === 'webhook' ? Promise.reject(new Error('The store is away')) : Promise.resolve({ items: [] }),
    )
    const text = await metrics()
    expect(text).toContain('rehost_build_info')
    expect(text).not.toContain('rehost_webhook')
    expect(gateway.logged.join()).toContain('Cannot read how webhooks do')
    list.mockRestore()
    expect(await samples('enabled', webhook)).toEqual([1])
  })
})

describe('/metrics of the APIs', () => {
  const counted = async () =>
    Object.fromEntries(
      (await metrics())
        .split('\n')
        .filter((line) => line.startsWith('rehost_api_'))
        .map((line) => {
          const [, sample = '', count] = /^rehost_api_(\S+) (\d+)$/.exec(line) ?? []
          return [sample, Number(count)]
        })
        .filter(([, count]) => count !== 0),
    ) as Record<string, number>

  it('count calls by API and status, and those that were too many', async () => {
    const headers = { authorization: `Bearer ${await gateway.apiToken()}` }
    await gateway.app.request('/api/v1/bandwidth', { headers })
    await gateway.app.request('/api/v1/openapi.json')
    await gateway.app.request('/api/v1/nothing', { headers })
    await gateway.app.request('/api/v1/servers')
    const key = await newKey(gateway, { role: 'admin' })
    const callMgn = async () => {
      const signed = await sign(
        key,
        { method: 'POST', path: '/DescribeSourceServers', body: '{}' },
        { at: gateway.now(), region: 'eu-test-1' },
      )
      const { method, target, headers: own, body } = signed
      return gateway.app.request(`http://localhost:8080${target}`, {
        method,
        headers: Object.fromEntries(own),
        body: Buffer.from(body),
      })
    }
    await callMgn()
    expect(await counted()).toEqual({
      'requests_total{api="v1",status="2xx"}': 2,
      'requests_total{api="v1",status="4xx"}': 2,
      'requests_total{api="mgn",status="4xx"}': 1,
    })
    const rates = new RequestRates({ calls: 1, windowSeconds: 60 }, gateway.now)
    Object.assign(gateway.services, { requestRates: rates })
    await callMgn()
    await callMgn()
    expect(await counted()).toMatchObject({
      'requests_total{api="mgn",status="4xx"}': 3,
      'rate_limited_total{api="mgn"}': 1,
    })
  })
})
