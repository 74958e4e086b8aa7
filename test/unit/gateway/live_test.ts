import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { until } from '../../fixtures/waiting.ts'
import { enrolServer, putServer } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway({ realClock: true })
})

afterEach(() => gateway.close())

/** A stream being read, as a browser would. */
class Stream {
  readonly controller = new AbortController()
  text = ''
  ended = false
  response!: Response

  static async open(path: string, cookie: string): Promise<Stream> {
    const stream = new Stream()
    stream.response = await gateway.app.request(path, {
      headers: { cookie },
      signal: stream.controller.signal,
    })
    void stream.#read()
    return stream
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder()
    const reader = this.response.body?.getReader()
    for (;;) {
      const next = await reader?.read().catch(() => undefined)
      if (next === undefined || next.done) break
      this.text += decoder.decode(next.value)
    }
    this.ended = true
  }
}

describe('live pages', () => {
  it('send every part at first, and afterwards what changed', async () => {
    const server = await enrolServer(gateway)
    const stream = await Stream.open(`/servers/${server.sourceServerId}/live`, await gateway.signIn())
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
    expect(stream.response.headers.get('x-accel-buffering')).toBe('no')
    await until('the parts arrive', async () => stream.text.includes('hx-target="#launch"'))
    for (const id of ['server-head', 'stepper', 'next-step', 'replication', 'events', 'agent']) {
      expect(stream.text).toContain(`<hx-partial hx-target="#${id}" hx-swap="outerMorph">`)
    }
    stream.text = ''
    await putServer(gateway, server.sourceServerId, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
    }))
    await until('the change arrives', async () => stream.text.includes('Ready for test'))
    expect(stream.text).not.toContain('hx-target="#source"')
    stream.controller.abort()
  })

  it('replace the list when a server comes, and rows otherwise', async () => {
    const stream = await Stream.open('/servers/live', await gateway.signIn())
    await until('the list arrives', async () => stream.text.includes('Add your first server'))
    const server = await enrolServer(gateway)
    await until(
      'the server arrives',
      async () => stream.text.includes('hx-target="#server-list"') && stream.text.includes('web-1'),
    )
    stream.text = ''
    await putServer(gateway, server.sourceServerId, (known) => ({
      ...known,
      agent: { ...known.agent, desired: 'PAUSE' },
      lifecycle: { ...known.lifecycle, state: 'TESTING' },
    }))
    await until(
      'its row arrives',
      async () =>
        stream.text.includes(`hx-target="#row-${server.sourceServerId}"`) &&
        stream.text.includes('Test in progress'),
    )
    expect(stream.text).not.toContain('hx-target="#server-list"')
    stream.controller.abort()
  })

  it('turn the wait for first contact into a link', async () => {
    const cookie = await gateway.signIn()
    const token = await gateway.installationToken()
    const stream = await Stream.open(`/servers/add/${token.split('.')[0]}/live`, cookie)
    await until('the wait is shown', async () => stream.text.includes('Waiting for first contact'))
    const { callAgentPort, inventory, signingRequest } = await import('./callers.ts')
    const body = {
      token,
      csrPem: await signingRequest(),
      version: '0.1.0',
      sourceProperties: inventory('first-one'),
    }
    const { subjectId } = (await (await callAgentPort(gateway, '/agent/v1/enrol', body)).json()) as {
      subjectId: string
    }
    await until('the link is shown', async () => stream.text.includes(`href="/servers/${subjectId}"`))
    expect(stream.text).toContain('first-one')
    stream.controller.abort()
  })

  it('clean up once, however a stream ends', async () => {
    const server = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const path = `/servers/${server.sourceServerId}/live`
    const streams = await Promise.all(Array.from({ length: 10 }, () => Stream.open(path, cookie)))
    await until('all are open', async () => gateway.streams.count === 10)
    expect(gateway.hub.topicCount).toBe(1)
    for (const stream of streams.slice(0, 5)) stream.controller.abort()
    for (const stream of streams.slice(5)) await stream.response.body?.cancel().catch(() => undefined)
    for (const stream of streams) stream.controller.abort()
    await until('none is left', async () => gateway.streams.count === 0 && gateway.hub.topicCount === 0)
  })

  it('are so many for one sign-in and no more', async () => {
    const cookie = await gateway.signIn()
    const streams = await Promise.all(Array.from({ length: 12 }, () => Stream.open('/servers/live', cookie)))
    await until('all are open', async () => gateway.streams.count === 12)
    expect((await Stream.open('/servers/live', cookie)).response.status).toBe(429)
    expect((await Stream.open('/servers/live', await gateway.signIn('viewer'))).response.status).toBe(200)
    streams[0]?.controller.abort()
    await until('one has ended', async () => gateway.streams.count === 12)
    const again = await Stream.open('/servers/live', cookie)
    expect(again.response.status).toBe(200)
  })

  it('tell the page when its server is gone, and end when the gateway stops', async () => {
    const server = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const stream = await Stream.open(`/servers/${server.sourceServerId}/live`, cookie)
    const list = await Stream.open('/servers/live', cookie)
    await until('it is shown', async () => stream.text.includes('#stepper'))
    await gateway.store.remove('server', { id: server.sourceServerId })
    await until('it is told', async () => stream.ended && stream.text.includes('event: gone'))
    gateway.streams.close()
    await until('the other ends', async () => list.ended)
    expect(gateway.streams.count).toBe(0)
    await sleep(10)
    expect(gateway.hub.topicCount).toBe(0)
  })

  it('are opened by nobody who only asks for the head', async () => {
    const headers = { cookie: await gateway.signIn() }
    const response = await gateway.app.request('/servers/live', { method: 'HEAD', headers })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    expect([gateway.streams.count, gateway.hub.topicCount]).toEqual([0, 0])
  })

  it('do not send again what only counts on', async () => {
    const server = await enrolServer(gateway)
    await putServer(gateway, server.sourceServerId, ({ activeTask: _done, ...known }) => ({
      ...known,
      agent: { ...known.agent, lastSeenAt: new Date(Date.now() - 20_000).toISOString() },
    }))
    const stream = await Stream.open('/servers/live', await gateway.signIn())
    await until('the list arrives', async () => / s ago<\/time>[^]*<\/hx-partial>/.test(stream.text))
    stream.text = ''
    await sleep(2500)
    expect(stream.text).toBe('')
    stream.controller.abort()
  })

  it('are for people who are signed in', async () => {
    // Not led to the sign-in page: the stream would take that for an answer.
    expect((await gateway.app.request('/servers/live')).status).toBe(401)
  })
})
