import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { ApiClient } from '../../../bin/api_client.ts'

type Answer = (response: ServerResponse) => void

const close: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of close.splice(0)) await end()
})

/** A service that answers as it is told, once each, and what it was asked. */
async function service(...answers: Answer[]) {
  const asked: { method: string; key: string | undefined; body: string }[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const key = request.headers['idempotency-key'] as string | undefined
    asked.push({ method: request.method ?? '', key, body })
    answers.shift()?.(response)
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  close.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  )
  const { port } = server.address() as AddressInfo
  const told: string[] = []
  const access = { baseUrl: `http://127.0.0.1:${port}`, token: 't' }
  return { asked, told, api: new ApiClient(access, 0, (line) => told.push(line)) }
}

const lost: Answer = (response) => response.destroy()
const good: Answer = (response) => response.end('{"id":7}')
const later =
  (status: number, seconds: number): Answer =>
  (response) =>
    response.writeHead(status, { 'Retry-After': String(seconds) }).end('{"detail":"Not now"}')

it('sends a POST again whose answer was lost, or is to come again, each time with the same key', async () => {
  const { asked, told, api } = await service(lost, later(503, 0), later(409, 0), later(429, 0.01), good)
  expect(await api.post('/tokens', { uses: 2 })).toEqual({ id: 7 })
  expect(asked).toHaveLength(5)
  expect(new Set(asked.map(({ key }) => key)).size).toBe(1)
  expect(told).toEqual(['Not now; waiting 0.01 s'])
  expect(asked[0]?.key).toMatch(/^[0-9a-f-]{36}$/)
  expect(new Set(asked.map(({ body }) => body))).toEqual(new Set(['{"uses":2}']))
})

it('takes a new key for each POST, and none for others', async () => {
  const { asked, api } = await service(good, good, good, good)
  await api.post('/tokens')
  await api.post('/tokens')
  await api.put('/bandwidth', {})
  await api.get('/tokens')
  const keys = asked.map(({ key }) => key)
  expect(keys[0]).not.toBe(keys[1])
  expect(keys.slice(2)).toEqual([undefined, undefined])
})

const missing: Answer = (response) => response.writeHead(404).end('{"detail":"There is none"}')

it('takes what is gone for deleted when the answer to a DELETE was lost, and for a mistake else', async () => {
  const { asked, api } = await service(lost, missing, missing, later(429, 0), missing)
  await api.delete('/webhooks/wh-1')
  await expect(api.delete('/webhooks/wh-1')).rejects.toThrow('There is none')
  await expect(api.delete('/webhooks/wh-1')).rejects.toThrow('There is none')
  expect(asked.map(({ method }) => method)).toEqual(Array(5).fill('DELETE'))
})

it('does not wait for what takes too long, and not for what says no', async () => {
  const { asked, told, api } = await service(later(429, 3600), (response) =>
    response.writeHead(409).end('{"detail":"It is paused"}'),
  )
  await expect(api.post('/tokens')).rejects.toThrow('Not now')
  await expect(api.post('/tokens')).rejects.toThrow('It is paused')
  expect(asked).toHaveLength(2)
  expect(told).toEqual([])
})

it('does not wait where nothing listens, and names the variable of the port where nobody gave one', async () => {
  const access = { baseUrl: 'http://127.0.0.1:9', token: 't' }
  const said = 'Cannot reach Rehost at http://127.0.0.1:9: is rehost up running there?'
  const messageOf = (error: unknown) => (error as Error).message
  expect(await new ApiClient(access).post('/tokens').catch(messageOf)).toBe(said)
  expect(await new ApiClient({ ...access, isGuessed: true }).post('/tokens').catch(messageOf)).toBe(
    `${said} Where it has another port, set REHOST_HTTP_PORT as for the service`,
  )
})
