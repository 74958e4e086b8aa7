import type { ServerType } from '@hono/node-server'
import type { AddressInfo } from 'node:net'
import { request } from 'node:http'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limitBody } from '../../../gateway/body_limit.ts'
import { listenHttp, stopListening } from '../../../gateway/listen.ts'
import { asRefusal, problemResponse } from '../../../gateway/problem.ts'

const maxBytes = 1000

describe('limitBody()', () => {
  let server: ServerType

  beforeAll(async () => {
    const app = new Hono()
    app.use(limitBody(maxBytes))
    app.get('/', (c) => c.text('nothing'))
    app.post('/', async (c) => c.text(`read ${(await c.req.text()).length}`))
    app.onError((error, c) => problemResponse(c, asRefusal(error)))
    server = await listenHttp(app, { host: '127.0.0.1', port: 0, hostVariable: 'HOST', portVariable: 'PORT' })
  })

  afterAll(() => stopListening(server))

  /** The answer to a body sent in pieces of 100 bytes; its length is told, or it comes in chunks. */
  function send(method: string, bytes: number, isTold: boolean): Promise<[number, string]> {
    const { port } = server.address() as AddressInfo
    return new Promise((resolve, reject) => {
      const headers = isTold ? { 'content-length': bytes } : { 'transfer-encoding': 'chunked' }
      const outgoing = request({ port, method, headers }, (incoming) => {
        let text = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        incoming.on('end', () => resolve([incoming.statusCode ?? 0, text]))
      })
      outgoing.on('error', reject)
      for (let sent = 0; sent < bytes; sent += 100) outgoing.write('x'.repeat(Math.min(100, bytes - sent)))
      outgoing.end()
    })
  }

  it.each([true, false])(
    'lets through what is no larger, and refuses what is (length told: %s)',
    async (isTold) => {
      expect(await send('POST', maxBytes, isTold)).toEqual([200, `read ${maxBytes}`])
      expect(await send('POST', 0, isTold)).toEqual([200, 'read 0'])
      const [status, text] = await send('POST', maxBytes + 1, isTold)
      expect(status).toBe(413)
      expect(text).toContain('The body is larger than 1000 bytes')
    },
  )

  it('does not look at a body whose length is told', async () => {
    const app = new Hono()
    app.use(limitBody(maxBytes))
    app.post('/', (c) => c.text('went on'))
    const asked = new Request('http://gateway/', {
      method: 'POST',
      headers: { 'content-length': '4' },
      body: 'four',
    })
    Object.defineProperty(asked, 'body', { get: () => expect.unreachable('It looked at the body') })
    expect(await (await app.fetch(asked)).text()).toBe('went on')
  })

  it('answers a request without a body', async () => {
    expect(await send('GET', 0, false)).toEqual([200, 'nothing'])
  })
})
