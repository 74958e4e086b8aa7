import { ListManagedAccountsCommand, ThrottlingException } from '@aws-sdk/client-mgn'
import { afterEach, describe, expect, it } from 'vitest'
import { readGatewayConfig } from '../../../gateway/config.ts'
import { RequestRates } from '../../../gateway/request_rates.ts'
import { mgnService } from './mgn/mgn_service.ts'
import type { TestGateway } from './support.ts'
import { callAgentPort, problemOf } from './callers.ts'
import { testGateway } from './support.ts'

const open: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

async function limited(calls: number, windowSeconds: number): Promise<TestGateway> {
  const gateway = await testGateway({ apiRate: { calls, windowSeconds } })
  open.push(gateway.close)
  return gateway
}

const ask = (gateway: TestGateway, token: string, path = '/bandwidth', method = 'GET') =>
  gateway.app.request(`/api/v1${path}`, { method, headers: { authorization: `Bearer ${token}` } })

describe('RequestRates', () => {
  it('lets so many through at once, and on the average', () => {
    let timeMs = 0
    const rates = new RequestRates({ calls: 3, windowSeconds: 30 }, () => new Date(timeMs))
    const left = () => {
      const { isAllowed, callsLeft, secondsToFull, waitSeconds } = rates.take('a')
      return [isAllowed, callsLeft, secondsToFull, waitSeconds]
    }
    expect(left()).toEqual([true, 2, 10, 0])
    expect(left()).toEqual([true, 1, 20, 0])
    expect(left()).toEqual([true, 0, 30, 0])
    expect(left()).toEqual([false, 0, 30, 10])
    timeMs += 9999
    expect(left()).toEqual([false, 0, 21, 1])
    timeMs += 1
    expect(left()).toEqual([true, 0, 30, 0])
    // A clock that is set back neither fills nor empties.
    timeMs -= 3_600_000
    expect(left()).toEqual([false, 0, 30, 10])
    timeMs += 3_600_000
    expect(left()).toEqual([true, 2, 10, 0])
  })

  it('remembers no more callers than it has room for, and the latest of them', () => {
    const rates = new RequestRates({ calls: 2, windowSeconds: 60 }, () => new Date(0))
    rates.take('first')
    rates.take('second')
    for (let other = 0; other < 9999; other++) rates.take(`other ${other}`)
    expect(rates.take('second').callsLeft).toBe(0)
    expect(rates.take('first').callsLeft).toBe(1)
  })
})

describe('/api/v1', () => {
  it('tells with each answer what is left, and says when to come again', async () => {
    const gateway = await limited(2, 60)
    const [token, other] = [await gateway.apiToken(), await gateway.apiToken()]
    const told = (response: Response) => [
      response.status,
      response.headers.get('ratelimit-policy'),
      response.headers.get('ratelimit'),
      response.headers.get('retry-after'),
    ]
    expect(told(await ask(gateway, token))).toEqual([200, '"default";q=2;w=60', '"default";r=1;t=30', null])
    const missing = await ask(gateway, token, '/nothing', 'POST')
    expect(told(missing)).toEqual([404, '"default";q=2;w=60', '"default";r=0;t=60', null])
    const refused = await ask(gateway, token)
    expect(told(refused)).toEqual([429, '"default";q=2;w=60', '"default";r=0;t=60', '30'])
    expect(await problemOf(refused)).toMatchObject({
      type: 'urn:rehost:problem:rate-limited',
      title: 'Too many calls',
      detail: 'The token “test admin” may make 2 calls in 60 s; try again in 30 s',
    })
    expect((await ask(gateway, other)).status).toBe(200)
    gateway.pass(30_000)
    expect((await ask(gateway, token)).status).toBe(200)
  })

  it('does nothing of what is too much', async () => {
    const gateway = await limited(1, 60)
    const token = await gateway.apiToken()
    expect((await ask(gateway, token, '/tokens', 'POST')).status).toBe(201)
    expect((await ask(gateway, token, '/tokens', 'POST')).status).toBe(429)
    expect((await gateway.store.list('token')).items).toHaveLength(1)
  })

  it('has a limit that agents and people do not have', async () => {
    const gateway = await limited(1, 60)
    const token = await gateway.apiToken()
    await ask(gateway, token)
    expect((await ask(gateway, token)).status).toBe(429)
    for (let call = 0; call < 5; call++) {
      expect((await callAgentPort(gateway, '/agent/v1/heartbeat', {})).status).not.toBe(429)
      expect((await gateway.app.request('/livez')).status).toBe(200)
    }
  })

  it('has no such headers where there is no limit', async () => {
    const gateway = await testGateway()
    open.push(gateway.close)
    const answer = await ask(gateway, await gateway.apiToken())
    expect([answer.status, answer.headers.get('ratelimit')]).toEqual([200, null])
  })
})

describe("MGN's API", () => {
  it('throttles an access key in the shape that its clients know', async () => {
    const service = await mgnService()
    open.push(service.close)
    const { services } = service.gateway
    const rates = new RequestRates({ calls: 1, windowSeconds: 60 }, services.clock)
    Object.assign(services, { requestRates: rates })
    const ask = () => service.client.send(new ListManagedAccountsCommand({}))
    await ask()
    const refused = (await ask().catch((error: unknown) => error)) as ThrottlingException
    expect(refused).toBeInstanceOf(ThrottlingException)
    expect(refused).toMatchObject({
      message: expect.stringContaining('may make 1 calls in 60 s'),
      serviceCode: 'mgn',
      quotaCode: 'REHOST_API_RATE',
      retryAfterSeconds: '60',
    })
    expect(refused.$metadata.httpStatusCode).toBe(429)
    service.gateway.pass(60_000)
    await ask()
  })
})

describe('REHOST_API_RATE', () => {
  const read = (values: Record<string, string>) =>
    readGatewayConfig({ REDIS_URL: 'redis://127.0.0.1', ...values }, '/').apiRate

  it('is calls a minute, many unless told, and 0 for no limit', () => {
    expect(read({})).toEqual({ calls: 6000, windowSeconds: 60 })
    expect(read({ REHOST_API_RATE: '120' })).toEqual({ calls: 120, windowSeconds: 60 })
    expect(read({ REHOST_API_RATE: '0' })).toBeUndefined()
    expect(() => read({ REHOST_API_RATE: '-1' })).toThrow('REHOST_API_RATE')
  })
})
