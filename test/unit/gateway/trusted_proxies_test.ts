import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { readGatewayConfig } from '../../../gateway/config.ts'
import { TrustedProxies } from '../../../gateway/trusted_proxies.ts'
import { origin } from './callers.ts'
import { testGateway } from './support.ts'

/** As the server hands a request on: where its socket leads, and what it says of who was before. */
const from = (remoteAddress: string) => ({ incoming: { socket: { remoteAddress } } })
const through = (forwarded: string | undefined) =>
  forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }

describe('TrustedProxies', () => {
  const { trustedProxies } = readGatewayConfig(
    { REDIS_URL: 'redis://127.0.0.1', REHOST_TRUSTED_PROXY: '127.0.0.1, 192.0.2.0/28,2001:DB8:0::1' },
    '/',
  )
  const app = new Hono().get('/', (c) => c.text(trustedProxies.callerAddress(c)))

  it.each([
    ['nobody stands between', '198.51.100.7', undefined, '198.51.100.7'],
    ['the proxy has seen the caller', '127.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['the caller has made something up', '127.0.0.1', '203.0.113.1, 198.51.100.7', '198.51.100.7'],
    ['a caller plays the proxy', '198.51.100.7', '203.0.113.1', '198.51.100.7'],
    ['one proxy stands behind another', '127.0.0.1', '203.0.113.1,198.51.100.7, 192.0.2.15', '198.51.100.7'],
    ['a stranger stands just outside the network', '192.0.2.16', '203.0.113.1', '192.0.2.16'],
    ['a socket of both families tells it', '::ffff:127.0.0.1', '2001:db8::7', '2001:db8::7'],
    ['the proxy speaks IPv6', '2001:db8::1', '198.51.100.7', '198.51.100.7'],
    ['the proxy says nothing', '127.0.0.1', undefined, '127.0.0.1'],
    ['the proxy says what is no address', '127.0.0.1', '203.0.113.1, unknown', '127.0.0.1'],
    ['only proxies are named', '127.0.0.1', '192.0.2.1, 192.0.2.2', '192.0.2.1'],
    ['the socket is gone', 'unknown', '203.0.113.1', 'unknown'],
  ])('knows who asks when %s', async (_, remote, forwarded, expected) => {
    const response = await app.request(origin, { headers: through(forwarded) }, from(remote))
    expect(await response.text()).toBe(expected)
  })

  it.each(['proxy', '192.0.2.0/33', '192.0.2.0/', '192.0.2.0/8/8', '/8', '192.0.2'])(
    'refuses %j',
    (place) => {
      expect(() => new TrustedProxies(['192.0.2.1', place])).toThrow(
        `Cannot read “${place}” as an address or a network such as 192.0.2.0/24`,
      )
    },
  )
})

describe('limits on guessing behind a proxy', () => {
  const guess = (gateway: TestGateway, remote: string, forwarded: string) =>
    gateway.app.request(
      `${origin}/sign-in`,
      {
        method: 'POST',
        headers: { origin, 'content-type': 'application/x-www-form-urlencoded', ...through(forwarded) },
        body: 'userName=admin&password=wrong',
      },
      from(remote),
    )

  it('lock out whoever guessed and nobody else', async () => {
    const gateway = await testGateway({ trustedProxies: ['127.0.0.1'] })
    for (let count = 0; count < 5; count++) await guess(gateway, '127.0.0.1', `10.0.0.${count}, 198.51.100.7`)
    expect((await guess(gateway, '127.0.0.1', '198.51.100.7')).status).toBe(429)
    expect((await guess(gateway, '127.0.0.1', '198.51.100.8')).status).toBe(401)
    await gateway.close()
  })

  it('do the same for tokens of programs', async () => {
    const gateway = await testGateway({ trustedProxies: ['127.0.0.1'] })
    const call = (forwarded: string) =>
      gateway.app.request(
        `${origin}/api/v1/servers`,
        { headers: { authorization: 'Bearer rehost_wrong', ...through(forwarded) } },
        from('127.0.0.1'),
      )
    for (let count = 0; count < 5; count++) await call('198.51.100.7')
    const refused = await call('198.51.100.7')
    expect([refused.status, await refused.text()]).toEqual([
      429,
      expect.stringContaining('Too many wrong tokens from 198.51.100.7; try again in 600 s'),
    ])
    expect((await call('198.51.100.8')).status).toBe(401)
    await gateway.close()
  })

  it('are not fooled by a header that no trusted proxy has sent', async () => {
    const gateway = await testGateway()
    for (let count = 0; count < 5; count++) await guess(gateway, '198.51.100.7', `203.0.113.${count}`)
    expect((await guess(gateway, '198.51.100.7', '203.0.113.99')).status).toBe(429)
    await gateway.close()
  })
})
