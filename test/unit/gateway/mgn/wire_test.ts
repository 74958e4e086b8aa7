import { execFile } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { request as httpRequest } from 'node:http'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import {
  DescribeSourceServersCommand,
  ListTagsForResourceCommand,
  MgnClient,
  UntagResourceCommand,
} from '@aws-sdk/client-mgn'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from '../support.ts'
import type { Credentials } from './signer.ts'
import { AccessError } from '../../../../gateway/mgn/access_error.ts'
import { signedRequestOf } from '../../../../gateway/mgn/signed_request.ts'
import { verifyRequest } from '../../../../gateway/mgn/sigv4.ts'
import { testGateway } from '../support.ts'
import { newKey, sign } from './signer.ts'

const run = promisify(execFile)
const arn = 'arn:aws:mgn:eu-central-1:000000000000:source-server/s-0123456789abcdef0'

let gateway: TestGateway
let key: Credentials
let server: ReturnType<typeof createAdaptorServer>
let port: number
/** Who was let in, and for what. */
let seen: string[]

beforeEach(async () => {
  gateway = await testGateway({ realClock: true, trustedProxies: ['127.0.0.1'] })
  key = await newKey(gateway)
  seen = []
  const app = new Hono().all('*', async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer())
    try {
      const caller = await verifyRequest(
        gateway.services,
        signedRequestOf(c, gateway.services.trustedProxies, body),
      )
      seen.push(`${caller.actor} ${c.req.method} ${new URL(c.req.url).pathname}`)
      return c.json({ items: [], tags: { seen: 'yes' } })
    } catch (error) {
      if (!(error instanceof AccessError)) throw error
      return c.json({ message: error.message }, error.status, {
        'x-amzn-errortype': error.shape,
        ...error.headers,
      })
    }
  })
  server = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve))
  await gateway.close()
})

const client = (credentials = key) =>
  new MgnClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'eu-central-1',
    credentials,
    maxAttempts: 1,
  })

describe('the SDK', () => {
  it('is let in, with ARNs in paths and repeated parameters', async () => {
    const mgn = client()
    expect((await mgn.send(new DescribeSourceServersCommand({ filters: {} }))).items).toEqual([])
    expect((await mgn.send(new ListTagsForResourceCommand({ resourceArn: arn }))).tags).toEqual({
      seen: 'yes',
    })
    await mgn.send(new UntagResourceCommand({ resourceArn: arn, tagKeys: ['ö b', 'a&a', 'a+a'] }))
    mgn.destroy()
    const path = `/tags/${encodeURIComponent(arn)}`
    expect(seen).toEqual([
      'access key ci POST /DescribeSourceServers',
      `access key ci GET ${path}`,
      `access key ci DELETE ${path}`,
    ])
  })

  it('is told by name why it is not let in', async () => {
    const mgn = client({ ...key, secretAccessKey: 'another' })
    await expect(mgn.send(new DescribeSourceServersCommand({}))).rejects.toMatchObject({
      name: 'InvalidSignatureException',
      $metadata: { httpStatusCode: 403 },
      message: expect.stringContaining(`it arrived for host '127.0.0.1:${port}'`),
    })
    mgn.destroy()
  })
})

describe('the AWS CLI', () => {
  const aws = (args: string[], secretAccessKey = key.secretAccessKey) =>
    run('/usr/bin/aws', ['mgn', ...args, '--endpoint-url', `http://127.0.0.1:${port}`, '--output', 'json'], {
      env: {
        PATH: process.env['PATH'],
        HOME: gateway.folder,
        AWS_REGION: 'ap-northeast-1',
        AWS_MAX_ATTEMPTS: '1',
        AWS_ACCESS_KEY_ID: key.accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
      timeout: 60_000,
    })

  it('is let in with its key and told why without it', { timeout: 120_000 }, async () => {
    const { stdout } = await aws(['list-tags-for-resource', '--resource-arn', arn])
    expect(JSON.parse(stdout)).toEqual({ tags: { seen: 'yes' } })
    await aws(['untag-resource', '--resource-arn', arn, '--tag-keys', 'ö b', 'a&a', 'a+a'])
    await aws(['describe-source-servers', '--filters', '{"isArchived":false}'])
    const path = `/tags/${encodeURIComponent(arn)}`
    expect(seen).toEqual([
      `access key ci GET ${path}`,
      `access key ci DELETE ${path}`,
      'access key ci POST /DescribeSourceServers',
    ])
    await expect(aws(['describe-jobs'], 'another')).rejects.toMatchObject({
      code: 254,
      stderr: expect.stringContaining(
        'An error occurred (InvalidSignatureException) when calling the DescribeJobs operation',
      ),
    })
  })
})

describe('behind a proxy', () => {
  /** Sends what was signed for localhost:8080, as a proxy hands it on. */
  async function handedOn(headers: [string, string][]): Promise<number> {
    const signed = await sign(key, {}, { at: gateway.now() })
    const own = signed.headers.filter(([name]) => name !== 'host')
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        {
          host: '127.0.0.1',
          port,
          method: signed.method,
          path: signed.target,
          headers: Object.fromEntries([...own, ...headers]),
        },
        (response) => {
          response.resume()
          response.once('end', () => resolve(response.statusCode ?? 0))
        },
      )
      sent.once('error', reject)
      sent.end(signed.body)
    })
  }

  it('the host that was signed is the one in Host, or in X-Forwarded-Host', async () => {
    expect(await handedOn([['host', 'localhost:8080']])).toBe(200)
    const changed: [string, string] = ['host', 'gateway.internal']
    expect(await handedOn([changed])).toBe(403)
    expect(await handedOn([changed, ['x-forwarded-host', 'localhost:8080']])).toBe(200)
    expect(await handedOn([changed, ['x-forwarded-host', 'other, localhost:8080']])).toBe(200)
    expect(await handedOn([changed, ['x-forwarded-host', 'localhost']])).toBe(403)
    expect(await handedOn([changed, ['x-forwarded-host', 'a, b, c, d, localhost:8080']])).toBe(403)
  })

  it('nobody else is believed what the host was', async () => {
    const request = await sign(key, {}, { at: gateway.now() })
    const elsewhere = new Hono().all('*', async (c) => {
      const body = new Uint8Array(await c.req.arrayBuffer())
      return c.json(signedRequestOf(c, gateway.services.trustedProxies, body).forwardedHosts)
    })
    const from = async (remoteAddress: string) => {
      const response = await elsewhere.request(
        '/x',
        {
          method: 'POST',
          body: Buffer.from(request.body),
          headers: { 'x-forwarded-host': 'localhost:8080' },
        },
        { incoming: { socket: { remoteAddress } } },
      )
      return response.json()
    }
    expect(await from('127.0.0.1')).toEqual(['localhost:8080'])
    expect(await from('198.51.100.7')).toEqual([])
  })
})

describe('signedRequestOf()', () => {
  it('takes what the web platform tells where there is no server of Node', async () => {
    const request = await sign(key, { query: { a: 'b c' } }, { at: gateway.now() })
    const app = new Hono().all('*', async (c) => {
      const body = new Uint8Array(await c.req.arrayBuffer())
      const caller = await verifyRequest(
        gateway.services,
        signedRequestOf(c, gateway.services.trustedProxies, body),
      )
      return c.text(caller.actor)
    })
    const response = await app.request(`http://localhost:8080${request.target}`, {
      method: request.method,
      headers: request.headers.map(([name, value]): [string, string] => [name, value]),
      body: Buffer.from(request.body),
    })
    expect([response.status, await response.text()]).toEqual([200, 'access key ci'])
  })
})
