import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import { newId } from '../../../domain/ids.ts'
import type { WebhookAttempt, WebhookDelivery, WebhookEndpoint } from '../../../domain/webhook.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { WebhookView } from '../../../gateway/api/answers/webhook_answers.ts'
import { listAll } from '../../../store/listing.ts'
import { relayById } from '../../../workers/relay.ts'
import { LaneRunner } from '../../../workers/webhooks/lane_runner.ts'
import type { Post } from '../../../workers/webhooks/post.ts'
import { WebhookSender } from '../../../workers/webhooks/sender.ts'
import { happen, putQuietServer, runnerParts, webhookBench } from '../../fixtures/webhook_world.ts'
import { until } from '../../fixtures/waiting.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

type Made = WebhookView & { secret: string }

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

async function api(method: string, path: string, body?: unknown, role: Role = 'admin'): Promise<Response> {
  const token = await gateway.apiToken(role)
  return gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

async function ask<T>(method: string, path: string, body?: unknown, status = 200): Promise<T> {
  const response = await api(method, path, body)
  const text = await response.text()
  expect(response.status, text).toBe(status)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

const make = (body: Record<string, unknown> = {}): Promise<Made> =>
  ask<Made>('POST', '/webhooks', { url: 'https://hooks.example/in', ...body }, 201)

/** Sends what is due; answers what was sent, by `webhook-id`, with the signatures. */
async function sendAll(
  id: WebhookView['webhookId'],
  answer: Awaited<ReturnType<Post>> = { statusCode: 200 },
) {
  const sent: { id: string; signatures: string[]; body: string }[] = []
  const post: Post = async ({ headers, body }) => {
    sent.push({
      id: headers['webhook-id'] ?? '',
      signatures: headers['webhook-signature']?.split(' ') ?? [],
      body,
    })
    return answer
  }
  const bench = webhookBench(gateway.store, gateway.now)
  const { secretBox: secrets } = gateway.services
  const runner = new LaneRunner(runnerParts(bench, newId('machine'), post, { secrets }))
  await new WebhookSender(bench, runner).run(id, new AbortController().signal)
  return sent
}

async function tell(id: SourceServerId, count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    gateway.pass(60_000)
    await happen(gateway.store, id, gateway.now().toISOString())
  }
  await relayById(webhookBench(gateway.store, gateway.now), id)
}

const server = (): Promise<SourceServerId> => putQuietServer(gateway.store, gateway.now().toISOString())

const refusals: [body: Record<string, unknown>, words: string][] = [
  [{}, 'url'],
  [{ url: 'ftp://x.example' }, 'https://'],
  [{ url: '/in' }, 'https://'],
  [{ url: 'https://user:pass@x.example/' }, 'no name and password'],
  [{ url: 'https://x.example/#there' }, 'after #'],
  [{ url: 'https://x.example/', pattern: { sauce: ['x'] } }, 'sauce of the pattern: events have no such key'],
  [{ url: 'https://x.example/', pattern: 'x' }, 'the pattern: it must be an object'],
  [{ url: 'https://x.example/', secret: 'short' }, 'whsec_'],
  // 33 digits are no base64: a strict reader at the other end would refuse every signature.
  [{ url: 'https://x.example/', secret: `whsec_${'A'.repeat(33)}` }, 'whsec_'],
  [{ url: 'https://x.example/', secret: `whsec_${Buffer.alloc(23).toString('base64')}` }, 'whsec_'],
  [{ url: 'https://x.example/', secret: `whsec_${Buffer.alloc(65).toString('base64')}` }, 'whsec_'],
  [{ url: 'https://x.example/', isEnabled: false, other: 1 }, 'nrecognized'],
]

describe('/api/v1/webhooks', () => {
  it('makes, lists, changes and deletes endpoints, and shows a secret once', async () => {
    const made = await make({ description: 'Chat', pattern: { source: ['aws.mgn'] } })
    expect(made).toMatchObject({
      url: 'https://hooks.example/in',
      isEnabled: true,
      createdBy: 'token test admin',
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    })
    const { items } = await ask<{ items: WebhookView[] }>('GET', '/webhooks')
    expect(items).toEqual([{ ...made, secret: undefined }])
    const stored = (await gateway.store.get('webhook', { id: made.webhookId }))?.value
    const everywhere = JSON.stringify([items, stored, gateway.logged])
    expect(everywhere).not.toContain(made.secret.slice(6))
    const changed = await ask<WebhookView>('PUT', `/webhooks/${made.webhookId}`, { isEnabled: false })
    expect(changed).toMatchObject({ isEnabled: false, description: 'Chat', pattern: { source: ['aws.mgn'] } })
    await ask('DELETE', `/webhooks/${made.webhookId}`, undefined, 204)
    expect((await api('GET', `/webhooks/${made.webhookId}`)).status).toBe(404)
  })

  it.each(refusals)('refuses %j', async (body, words) => {
    const response = await api('POST', '/webhooks', body)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(((await response.json()) as { detail: string }).detail).toContain(words)
    expect(await listAll(gateway.store, 'webhook')).toEqual([])
  })

  it('is for administrators; operators may look', async () => {
    const { webhookId: id } = await make()
    for (const [method, path] of [
      ['PUT', ''],
      ['DELETE', ''],
      ['POST', '/test'],
      ['POST', '/rotate-secret'],
      ['POST', '/replay'],
    ])
      expect((await api(method ?? '', `/webhooks/${id}${path}`, {}, 'operator')).status, path).toBe(403)
    expect((await api('GET', '/webhooks', undefined, 'operator')).status).toBe(200)
    expect((await api('GET', `/webhooks/${id}`, undefined, 'viewer')).status).toBe(403)
    expect((await api('GET', '/webhooks/wh-nothing', undefined, 'operator')).status).toBe(404)
  })

  it('signs with both secrets after a rotation, and with the new one alone later', async () => {
    const made = await make()
    const id = await server()
    const rotated = await ask<Made>('POST', `/webhooks/${made.webhookId}/rotate-secret`, {
      overlapSeconds: 3600,
    })
    expect(rotated.secret).not.toBe(made.secret)
    expect(rotated.secrets).toHaveLength(2)
    await tell(id, 1)
    expect((await sendAll(made.webhookId))[0]?.signatures).toHaveLength(2)
    gateway.pass(3_600_000)
    await tell(id, 1)
    expect((await sendAll(made.webhookId))[0]?.signatures).toHaveLength(1)
    const again = await ask<Made>('POST', `/webhooks/${made.webhookId}/rotate-secret`, { overlapSeconds: 0 })
    expect(again.secrets).toHaveLength(1)
  })

  it('sends a test once, whatever becomes of it, and shows what was answered', async () => {
    const { webhookId: id } = await make()
    const test = await ask<WebhookDelivery>('POST', `/webhooks/${id}/test`, {}, 202)
    expect(gateway.changes.published).toContainEqual({ kind: 'webhook', id })
    await sendAll(id, { statusCode: 500, responseBegin: 'broken', problem: 'Answered 500' })
    expect(await sendAll(id)).toEqual([])
    const { items } = await ask<{ items: WebhookAttempt[] }>('GET', `/webhooks/${id}/attempts`)
    expect(items).toEqual([
      expect.objectContaining({
        eventId: test.eventId,
        detailType: 'Rehost Webhook Test',
        outcome: 'DEAD',
        statusCode: 500,
        responseBegin: 'broken',
        problem: 'Answered 500',
        attempt: 1,
      }),
    ])
    await ask('PUT', `/webhooks/${id}`, { isEnabled: false })
    expect((await api('POST', `/webhooks/${id}/test`, {})).status).toBe(409)
  })

  it('enables an endpoint again, which goes on at once', async () => {
    const { webhookId: id } = await make()
    await tell(await server(), 2)
    expect(await sendAll(id, { statusCode: 410, problem: 'Answered 410' })).toHaveLength(1)
    expect(await ask<WebhookEndpoint>('GET', `/webhooks/${id}`)).toMatchObject({
      isEnabled: false,
      disabledBecause: expect.stringContaining('410'),
    })
    const enabled = await ask<WebhookEndpoint>('PUT', `/webhooks/${id}`, { isEnabled: true })
    expect(enabled.disabledBecause).toBeUndefined()
    expect(await sendAll(id, { problem: 'Connection refused' })).toHaveLength(1)
    expect(await sendAll(id)).toEqual([])
    // A new URL is tried at once, too.
    await ask('PUT', `/webhooks/${id}`, { url: 'https://other.example/' })
    expect(await sendAll(id)).toHaveLength(2)
  })

  it('replays by time, by sequence and one by one, with the ids from before', async () => {
    const [one, other] = [await server(), await server()]
    await tell(one, 4)
    await tell(other, 1)
    const { webhookId: id } = await make()
    expect(await sendAll(id)).toEqual([])
    const start = Date.parse('2026-03-01T12:00:00.000Z')
    const minute = (count: number): string => new Date(start + count * 60_000).toISOString()
    const replay = (range: unknown) =>
      ask<{ deliveries: number }>('POST', `/webhooks/${id}/replay`, range, 202)
    const sent = async () =>
      (await sendAll(id)).map(
        ({ body }) => (JSON.parse(body) as { detail: { sequence: number } }).detail.sequence,
      )
    expect(await replay({ from: minute(2), to: minute(3) })).toEqual({ deliveries: 2 })
    expect(await sent()).toEqual([2, 3])
    expect(await replay({ sourceServerId: one, fromSequence: 2, toSequence: 4 })).toEqual({ deliveries: 3 })
    expect(await sent()).toEqual([2, 3, 4])
    expect(await replay({ from: minute(4) })).toEqual({ deliveries: 2 })
    expect(new Set(await sent())).toEqual(new Set([1, 4]))
    const { items } = await ask<{ items: WebhookDelivery[] }>(
      'GET',
      `/webhooks/${id}/deliveries?sourceServerId=${one}&state=DELIVERED`,
    )
    expect(items.map(({ deliveryId }) => Number(deliveryId.split('.')[1]))).toEqual([2, 3, 4])
    const [first] = items
    await ask('POST', `/webhooks/${id}/deliveries/${first?.deliveryId}/redeliver`, {}, 202)
    expect((await sendAll(id)).map((own) => own.id)).toEqual([first?.eventId])
    for (const wrong of [
      {},
      { fromSequence: 1 },
      { from: 'yesterday' },
      { from: minute(0), fromSequence: 0 },
    ])
      expect((await api('POST', `/webhooks/${id}/replay`, wrong)).status, JSON.stringify(wrong)).toBe(400)
  })

  it('replays what happened before and after a clock was set back', async () => {
    const id = await server()
    await tell(id, 2)
    gateway.pass(-3_600_000)
    await tell(id, 1)
    gateway.pass(3_600_000)
    await tell(id, 1)
    const { webhookId } = await make()
    const from = '2026-03-01T12:00:00.000Z'
    expect(await ask('POST', `/webhooks/${webhookId}/replay`, { from }, 202)).toEqual({ deliveries: 3 })
    const earlier = '2026-03-01T11:00:00.000Z'
    expect(await ask('POST', `/webhooks/${webhookId}/replay`, { from: earlier }, 202)).toEqual({
      deliveries: 4,
    })
  })

  it('lists deliveries page by page', async () => {
    const { webhookId: id } = await make()
    const [one, other] = [await server(), await server()]
    await tell(one, 5)
    await tell(other, 5)
    const found: string[] = []
    let next = ''
    do {
      const path = `/webhooks/${id}/deliveries?limit=2&sourceServerId=${one}${next}`
      const page = await ask<{ items: WebhookDelivery[]; nextToken?: string }>('GET', path)
      found.push(...page.items.map(({ laneId, state }) => `${laneId} ${state}`))
      next = page.nextToken === undefined ? '' : `&nextToken=${page.nextToken}`
    } while (next !== '')
    expect(found).toEqual(Array.from({ length: 5 }, () => `${one} PENDING`))
  })
})

/** Reads a stream until `count` events have come; then closes it. */
async function readStream(
  path: string,
  count: number,
  headers: Record<string, string> = {},
): Promise<{ id: string; data: string }[]> {
  const token = await gateway.apiToken('viewer')
  const stop = new AbortController()
  const response = await gateway.app.request(`/api/v1/events/stream${path}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: stop.signal,
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const events = () =>
    [...text.matchAll(/data: (.*)\nid: (.*)\n\n/g)].map(([, data = '', id = '']) => ({ id, data }))
  while (events().length < count) {
    const piece = await reader?.read()
    if (piece?.done !== false) break
    text += piece.value
  }
  stop.abort()
  await reader?.cancel()
  return events()
}

describe('/api/v1/events', () => {
  it('lists the events of all servers as they are delivered, from a place on', async () => {
    const [one, other] = [await server(), await server()]
    await tell(one, 2)
    await tell(other, 2)
    interface EventPage {
      items: { place: string; event: { id: string; resources: string[]; detail: Record<string, unknown> } }[]
      nextToken?: string
      lastEventId: string
    }
    const first = await ask<EventPage>('GET', '/events?limit=3')
    expect(first.items.map(({ event }) => event.detail['source-server-id'])).toEqual([one, one, other])
    const second = await ask<EventPage>('GET', `/events?limit=1&nextToken=${first.nextToken}`)
    expect(second.items.map(({ event }) => event.detail['sequence'])).toEqual([2])
    expect(second.nextToken).toBeUndefined()
    await tell(one, 1)
    const later = await ask<EventPage>('GET', `/events?nextToken=${second.lastEventId}`)
    expect(later.items.map(({ event }) => event.detail['sequence'])).toEqual([3])
    const pattern = encodeURIComponent(JSON.stringify({ detail: { 'source-server-id': [other] } }))
    expect((await ask<EventPage>('GET', `/events?pattern=${pattern}`)).items).toHaveLength(2)
    const nobody = encodeURIComponent(JSON.stringify({ account: ['nobody'] }))
    const none = await ask<EventPage>('GET', `/events?limit=1&pattern=${nobody}`)
    expect(none).toEqual({ items: [], lastEventId: later.lastEventId })
    for (const wrong of ['pattern=x', 'pattern=[]', 'nextToken=x', 'limit=0', 'lastEventId=1.9'])
      expect((await api('GET', `/events?${wrong}`)).status, wrong).toBe(400)
  })

  it('refuses a place that no event has reached, in a page and in a stream', async () => {
    const one = await server()
    await tell(one, 2)
    expect((await api('GET', '/events?nextToken=2.9')).status).toBe(200)
    const ahead = await api('GET', '/events?nextToken=3.0')
    expect(ahead.status).toBe(400)
    expect(await ahead.text()).toContain('nextToken 3.0 is ahead of all events, the last of which is 2')
    const stream = await api('GET', '/events/stream?lastEventId=9999.0')
    expect([stream.status, await stream.text()]).toEqual([
      400,
      expect.stringContaining('lastEventId 9999.0 is ahead of all events'),
    ])
    const headers = { authorization: `Bearer ${await gateway.apiToken('viewer')}`, 'last-event-id': '3.0' }
    const resumed = await gateway.app.request('/api/v1/events/stream', { headers })
    expect([resumed.status, await resumed.text()]).toEqual([
      400,
      expect.stringContaining('the header Last-Event-ID 3.0 is ahead of all events'),
    ])
  })

  it('says where a stream begins before anything has come, so that nothing is missed after a break', async () => {
    const one = await server()
    await tell(one, 2)
    const stop = new AbortController()
    const response = await gateway.app.request('/api/v1/events/stream', {
      headers: { authorization: `Bearer ${await gateway.apiToken('viewer')}` },
      signal: stop.signal,
    })
    const reader = response.body?.getReader()
    const begin = Buffer.from((await reader?.read())?.value ?? []).toString()
    stop.abort()
    await reader?.cancel()
    const [, id = ''] = /^: events follow\nid: (\d+\.9)\n\n$/.exec(begin) ?? []
    await tell(one, 1)
    const [missed] = await readStream('', 1, { 'last-event-id': id })
    expect(JSON.parse(missed?.data ?? '{}')).toMatchObject({ detail: { sequence: 3 } })
  })

  it('streams what comes, and goes on after the id that was seen last', async () => {
    const one = await server()
    await tell(one, 3)
    const all = await readStream('?lastEventId=0', 3)
    expect(
      all.map(({ data }) => (JSON.parse(data) as { detail: { sequence: number } }).detail.sequence),
    ).toEqual([1, 2, 3])
    const resumed = await readStream('', 2, { 'last-event-id': all[0]?.id ?? '' })
    expect(resumed).toEqual(all.slice(1))
    const coming = readStream('', 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await tell(one, 1)
    await gateway.changes.publish({ kind: 'server', id: one })
    expect(
      (await coming).map(
        ({ data }) => (JSON.parse(data) as { detail: { sequence: number } }).detail.sequence,
      ),
    ).toEqual([4])
    await until('the streams are gone', async () => gateway.services.eventStreams.count === 0, 5000, 5)
  })

  it('refuses a place that is none, and names where it stood', async () => {
    const refusalOf = async (path: string, headers: Record<string, string> = {}) => {
      const authorization = `Bearer ${await gateway.apiToken('viewer')}`
      const response = await gateway.app.request(path, { headers: { authorization, ...headers } })
      return [response.status, ((await response.json()) as { detail: string }).detail]
    }
    const advice = 'give the id of an event as it was sent, or 0'
    const stream = '/api/v1/events/stream'
    expect(await refusalOf(`${stream}?lastEventId=x`)).toEqual([400, `Cannot read lastEventId x: ${advice}`])
    expect(await refusalOf(stream, { 'last-event-id': 'garbage' })).toEqual([
      400,
      `Cannot read the header Last-Event-ID garbage: ${advice}`,
    ])
    const { webhookId } = await make()
    for (const list of ['attempts', 'deliveries'])
      expect((await api('GET', `/webhooks/${webhookId}/${list}?nextToken=%`)).status, list).toBe(400)
  })
})
