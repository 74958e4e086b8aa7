import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { readAllowedNetworks, refusalOf } from '../../../workers/webhooks/address_guard.ts'
import type { PostResult, Resolve } from '../../../workers/webhooks/post.ts'
import { createPost } from '../../../workers/webhooks/post.ts'
import { signedHeaders } from '../../../workers/webhooks/signature.ts'

const nowhere = readAllowedNetworks('')

/** What somebody might write to reach what is not theirs. */
const refused = [
  '127.0.0.1',
  '127.8.8.8',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.169.254',
  '169.254.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::a9fe:a9fe',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'ff02::1',
  '2001:0:1::1',
  '2001:db8::1',
  '2002:7f00:1::',
  'localhost',
  '',
]

const open = [
  '1.1.1.1',
  '8.8.8.8',
  '172.15.255.255',
  '172.32.0.1',
  '100.128.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00::1',
]

describe('refusalOf()', () => {
  it.each(refused)('refuses %s', (address) => {
    expect(refusalOf(address, nowhere)).toContain(address)
  })

  it.each(open)('lets %s through', (address) => {
    expect(refusalOf(address, nowhere)).toBeUndefined()
  })

  it('lets the networks through that are allowed, and no more', () => {
    const allowed = readAllowedNetworks('10.0.0.0/8, fd00::/8 192.168.1.5')
    expect(['10.255.0.1', 'fd12::1', '192.168.1.5'].map((one) => refusalOf(one, allowed))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(refusalOf('192.168.1.6', allowed)).toContain('REHOST_WEBHOOK_ALLOW_PRIVATE')
    for (const wrong of ['10.0.0.0/33', 'example.com', '10.0.0.0/8/8', '10.0.0.0/x', '/8'])
      expect(() => readAllowedNetworks(wrong)).toThrow(`Cannot read ${wrong}`)
  })
})

/** URLs whose host is an address in disguise, and what it resolves to where it is a name. */
const disguised: [url: string, resolved: string[]][] = [
  ['http://127.1/', []],
  ['http://2130706433/', []],
  ['http://0x7f.0.0.1/', []],
  ['http://0177.0.0.1/', []],
  ['http://[::1]/', []],
  ['http://[::ffff:169.254.169.254]/latest/meta-data', []],
  ['http://metadata.example/', ['169.254.169.254']],
  ['http://both.example/', ['8.8.8.8', '10.0.0.1']],
  ['https://rebound.example/', ['::1']],
  ['http://none.example/', []],
]

type Receive = (request: IncomingMessage, response: ServerResponse) => void

const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function receiver(receive: Receive): Promise<{ port: number; requests: number }> {
  const seen = { port: 0, requests: 0 }
  const server = createServer((request, response) => {
    seen.requests++
    request.resume()
    receive(request, response)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  seen.port = (server.address() as AddressInfo).port
  return seen
}

function send(url: string, allow = '127.0.0.0/8', resolve?: Resolve, timeoutMs = 400): Promise<PostResult> {
  const signal = new AbortController().signal
  const allowed = readAllowedNetworks(allow)
  return createPost(resolve)({ url, headers: {}, body: '{}', timeoutMs, signal, allowed })
}

describe('post()', () => {
  it.each(disguised)('sends nothing to %s', async (url, resolved) => {
    const result = await send(url, '', async () =>
      resolved.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
    expect(result.statusCode).toBeUndefined()
    expect(result.problem).toMatch(/Nothing was sent to|has no address/)
  })

  it('looks a name up once and connects to that address, by the name', async () => {
    let host: string | undefined
    const { port } = await receiver((request, response) => {
      host = request.headers.host
      response.end('taken')
    })
    let asked = 0
    const result = await send(`http://hooks.example:${port}/in?x=1`, undefined, async () => {
      asked++
      // Whoever asks again gets another answer, as from a name server that means harm.
      return [{ address: asked === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]
    })
    expect(result).toEqual({ statusCode: 200, responseBegin: 'taken' })
    expect(asked).toBe(1)
    expect(host).toBe(`hooks.example:${port}`)
  })

  it('follows no redirect', async () => {
    const decoy = await receiver((_request, response) => response.end())
    const { port } = await receiver((_request, response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${decoy.port}/` }).end()
    })
    const result = await send(`http://127.0.0.1:${port}/`)
    expect(result).toMatchObject({
      statusCode: 302,
      problem: expect.stringContaining('redirects are not followed'),
    })
    expect(decoy.requests).toBe(0)
  })

  it('tells of a redirect without what would control a terminal', async () => {
    const { port } = await receiver((_request, response) => {
      response.writeHead(302, { location: `/${String.fromCharCode(0x9b)}2J` }).end()
    })
    expect((await send(`http://127.0.0.1:${port}/`)).problem).toMatch(
      /^Answered 302 to \/%C2%9B2J: redirects/,
    )
  })

  it.each<[string, Receive, string]>([
    ['hangs', () => undefined, 'No whole answer within 0.4 s'],
    [
      'answers late',
      (_request, response) => void setTimeout(() => response.end(), 700),
      'No whole answer within',
    ],
    [
      'trickles',
      (_request, response) => {
        const timer = setInterval(() => response.write('.'), 20)
        response.on('close', () => clearInterval(timer))
      },
      'No whole answer within',
    ],
    ['resets', (request) => request.socket.destroy(), 'socket hang up'],
    [
      'closes half-way',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('half')
        setTimeout(() => request.socket.destroy(), 20)
      },
      'aborted',
    ],
    ['talks nonsense', (request) => void request.socket.end('EHLO\r\n\r\n'), 'Parse Error'],
    ['refuses', (_request, response) => void response.writeHead(503).end('busy'), 'Answered 503'],
  ])('counts as failed where the receiver %s', async (_what, receive, problem) => {
    const { port } = await receiver(receive)
    const result = await send(`http://127.0.0.1:${port}/`)
    expect(result.problem).toContain(problem)
  })

  it('keeps the beginning of an answer, and does not read one without end', async () => {
    const { port } = await receiver((_request, response) => {
      response.on('error', () => undefined)
      const fill = (): void => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
        if (!response.destroyed) response.once('drain', fill)
      }
      fill()
    })
    const result = await send(`http://127.0.0.1:${port}/`, undefined, undefined, 10_000)
    expect(result).toEqual({ statusCode: 200, responseBegin: 'x'.repeat(512) })
  })

  it('waits no longer for a name than for all of it', async () => {
    const result = await send('http://slow.example/', undefined, () => new Promise(() => undefined))
    expect(result.problem).toContain('No whole answer within')
  })
})

describe('signedHeaders()', () => {
  it('signs as Standard Webhooks says, with each secret', () => {
    // The example of the specification's reference libraries: secret, id, time, body and signature.
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampSeconds: 1614265330,
      body: '{"test": 2432232314}',
    }
    expect(signedHeaders(message, [secret])).toEqual({
      'webhook-id': message.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
    const other = `whsec_${Buffer.from('another').toString('base64')}`
    const expected = createHmac('sha256', 'another')
      .update(`${message.id}.1614265330.${message.body}`)
      .digest('base64')
    expect(signedHeaders(message, [secret, other])['webhook-signature']).toBe(
      `v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,${expected}`,
    )
  })
})
