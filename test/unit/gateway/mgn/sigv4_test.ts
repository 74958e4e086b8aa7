import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from '../support.ts'
import type { Credentials, Signing, Unsigned } from './signer.ts'
import type { SignedRequest } from '../../../../gateway/mgn/signed_request.ts'
import { AccessError } from '../../../../gateway/mgn/access_error.ts'
import { verifyRequest } from '../../../../gateway/mgn/sigv4.ts'
import { setAccessKeyStatus } from '../../../../gateway/people/access_keys.ts'
import { seedFor } from '../../../fixtures/seed.ts'
import { testGateway } from '../support.ts'
import { encoded, newKey, sign, signatureByHand, withHeader } from './signer.ts'

const minuteMs = 60_000
const arn = 'arn:aws:mgn:eu-central-1:000000000000:source-server/s-0123456789abcdef0'

let gateway: TestGateway
let key: Credentials

beforeEach(async () => {
  gateway = await testGateway()
  key = await newKey(gateway)
})

afterEach(() => gateway.close())

const signed = (unsigned: Unsigned = {}, signing: Partial<Signing> = {}, credentials = key) =>
  sign(credentials, unsigned, { at: gateway.now(), ...signing })

const verify = (request: SignedRequest) => verifyRequest(gateway.services, request)

/** How a request is refused. */
async function refusal(request: SignedRequest): Promise<AccessError> {
  const error: unknown = await verify(request).then(
    (caller) => new Error(`${caller.actor} was let in`),
    (thrown: unknown) => thrown,
  )
  if (error instanceof AccessError) return error
  throw error
}

async function expectRefusal(
  request: SignedRequest,
  shape: AccessError['shape'],
  words: string | RegExp,
): Promise<void> {
  const error = await refusal(request)
  expect({ shape: error.shape, message: error.message }).toEqual({
    shape,
    message: typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words),
  })
}

describe('verifyRequest()', () => {
  it('knows who signed, for whatever region', async () => {
    const caller = await verify(await signed({ body: '{"filters":{}}' }, { region: 'us-gov-west-1' }))
    expect(caller).toMatchObject({
      actor: 'access key ci',
      accessKeyId: key.accessKeyId,
      role: 'operator',
    })
  })

  it.each<[string, Unsigned]>([
    ['a path with an encoded ARN', { method: 'GET', path: `/tags/${encodeURIComponent(arn)}`, body: '' }],
    ['an ARN as it is', { method: 'GET', path: `/tags/${arn}`, body: '' }],
    [
      'a repeated parameter, not in order',
      { method: 'DELETE', path: '/tags/x', query: { tagKeys: ['b', 'a', 'B', 'a b'] }, body: '' },
    ],
    ['an empty value', { method: 'GET', query: { nextToken: '', a: '', 'a-b': '1', a1: '2' }, body: '' }],
    [
      'odd characters in path and query',
      {
        method: 'GET',
        path: `/tags/${encoded("ü €/?#[]@!$&'()*+,;= %~_-.")}/~user/a+b`,
        query: { "k é+&=*'()": "v %2F /?=&+~!*'()", '🚀': '日本' },
        body: '',
      },
    ],
    [
      'white space in headers',
      { headers: { 'x-amz-meta': '  a   b \t c  ', 'Content-Type': 'application/json' } },
    ],
    ['a trailing slash and empty parts', { path: '/tags//x/./y/../' }],
    ['the root', { method: 'GET', path: '/', body: '' }],
    ['a body of bytes', { body: Uint8Array.from({ length: 256 }, (_, index) => index) }],
  ])('takes %s as the SDK signs it', async (_name, unsigned) => {
    expect((await verify(await signed(unsigned))).accessKeyId).toBe(key.accessKeyId)
  })

  it('does not care in which order and case headers come, nor who else has added some', async () => {
    const request = await signed({ headers: { 'x-amz-meta': '1' } })
    const headers = request.headers.map(([name, value]) => [name.toUpperCase(), value] as const)
    const more = [['Via', '1.1 proxy'], ['X-Amzn-Trace-Id', 'Root=1'], ...headers.toReversed()] as const
    await verify({ ...request, headers: more })
  })

  it('joins repeated headers with a comma, in their order', async () => {
    const request = await signed({ headers: { 'x-amz-meta': 'b,a  c' } })
    const others = request.headers.filter(([name]) => name !== 'x-amz-meta')
    const first = ['x-amz-meta', ' b '] as const
    const second = ['X-Amz-Meta', 'a c'] as const
    await verify({ ...request, headers: [first, ...others, second] })
    await expectRefusal(
      { ...request, headers: [second, ...others, first] },
      'InvalidSignatureException',
      'does not match',
    )
  })

  it('takes a target that names the host, and the path of a query without a value', async () => {
    const request = await signed({ method: 'GET', path: '/x', query: { a: '' }, body: '' })
    await verify({ ...request, target: 'http://elsewhere:80/x?a' })
  })

  it('takes the header Date where there is no X-Amz-Date', async () => {
    const mailDate = 'Sun, 01 Mar 2026 12:00:00 GMT'
    const nothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const canonical = `GET\n/x\n\ndate:${mailDate}\nhost:h\n\ndate;host\n${nothing}`
    const signature = signatureByHand(key.secretAccessKey, '20260301T120000Z', canonical)
    const credential = `${key.accessKeyId}/20260301/eu-central-1/mgn/aws4_request`
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=date;host,Signature=${signature}`
    const request: SignedRequest = {
      method: 'GET',
      target: '/x',
      headers: [
        ['Host', 'h'],
        ['Date', mailDate],
        ['Authorization', authorization],
      ],
      body: new Uint8Array(),
      address: '198.51.100.7',
      forwardedHosts: [],
    }
    expect((await verify(request)).actor).toBe('access key ci')
    await expectRefusal(
      withHeader(request, 'Authorization', (text) => text.replace('date;host', 'host')),
      'InvalidSignatureException',
      "'date' must be a 'SignedHeader'",
    )
    await expectRefusal(
      withHeader(request, 'Date', () => 'yesterday GMT'),
      'IncompleteSignatureException',
      "Got 'yesterday GMT' in date",
    )
  })

  it('takes a body whose hash the client has sent, and refuses one that is another or none', async () => {
    const hash = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    const request = await signed({ headers: { 'x-amz-content-sha256': hash } })
    expect(request.headers).toContainEqual(['x-amz-content-sha256', hash])
    await verify(request)
    for (const other of ['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', `0${hash.slice(1)}`, ''])
      await expectRefusal(
        withHeader(request, 'x-amz-content-sha256', () => other),
        'InvalidSignatureException',
        `header does not match what was computed: '${other}' != '${hash}'`,
      )
  })

  it('tells apart a request without a signature, with another kind, and with two', async () => {
    const request = await signed()
    const without = request.headers.filter(([name]) => name !== 'authorization')
    await expectRefusal(
      { ...request, headers: without },
      'MissingAuthenticationTokenException',
      'Missing Authentication Token',
    )
    const link = await signed({ method: 'GET', body: '' }, { expiresSeconds: 60 })
    await expectRefusal(
      { ...link, headers: [...link.headers, ['authorization', 'Bearer rehost_x']] },
      'IncompleteSignatureException',
      'sign it once',
    )
    const twice = request.headers.filter(([name]) => name === 'authorization' || name === 'x-amz-date')
    for (const header of twice)
      await expectRefusal(
        { ...request, headers: [...request.headers, header] },
        'IncompleteSignatureException',
        `The header ${header[0]} came more than once`,
      )
    for (const scheme of ['Bearer rehost_x', 'Basic eDp5', 'AWS4-HMAC-SHA512 Credential=x', ''])
      await expectRefusal(
        withHeader(request, 'authorization', () => scheme),
        'IncompleteSignatureException',
        `Unsupported AWS 'algorithm': '${scheme.split(' ')[0]}'`,
      )
  })

  it.each<[string, (text: string) => string, AccessError['shape'], string]>([
    [
      'no Credential',
      (text) => text.replace(/Credential=[^,]+, /, ''),
      'IncompleteSignatureException',
      "requires 'Credential'",
    ],
    [
      'no SignedHeaders',
      (text) => text.replace(/SignedHeaders=[^,]+, /, ''),
      'IncompleteSignatureException',
      "requires 'SignedHeaders'",
    ],
    [
      'no Signature',
      (text) => text.replace(/, Signature=.*/, ''),
      'IncompleteSignatureException',
      "requires 'Signature'",
    ],
    ['nothing at all', () => 'AWS4-HMAC-SHA256', 'IncompleteSignatureException', "requires 'Credential'"],
    [
      'a part twice',
      (text) => `${text}, Signature=${'0'.repeat(64)}`,
      'IncompleteSignatureException',
      "has 'Signature' more than once",
    ],
    [
      'an unknown part',
      (text) => `${text}, Other=1`,
      'IncompleteSignatureException',
      "unknown parameter 'Other'",
    ],
    [
      'a short credential',
      (text) => text.replace('/mgn/aws4_request', '/mgn'),
      'IncompleteSignatureException',
      'Credential must be <access key id>/YYYYMMDD/<region>/mgn/aws4_request',
    ],
    [
      'an odd key id',
      (text) => text.replace('Credential=RHAK', 'Credential=<b>'),
      'IncompleteSignatureException',
      'Credential must be',
    ],
    [
      'no region',
      (text) => text.replace('/eu-central-1/', '//'),
      'InvalidSignatureException',
      'valid region',
    ],
    [
      'another service',
      (text) => text.replace('/mgn/', '/ec2/'),
      'InvalidSignatureException',
      "correct service: 'mgn', not 'ec2'",
    ],
    [
      'another end',
      (text) => text.replace('/aws4_request', '/aws5_request'),
      'InvalidSignatureException',
      "valid terminator: 'aws4_request', not 'aws5_request'",
    ],
    [
      'another date',
      (text) => text.replace('/20260301/', '/20260228/'),
      'InvalidSignatureException',
      "'20260228' != '20260301', from '20260301T120000Z'",
    ],
    [
      'the host not signed',
      (text) => text.replace('host;', ''),
      'InvalidSignatureException',
      "'Host' must be a 'SignedHeader'",
    ],
    [
      'the date not signed',
      (text) => text.replace(';x-amz-date', ''),
      'InvalidSignatureException',
      "'x-amz-date' must be a 'SignedHeader'",
    ],
    [
      'a signed header that is not there',
      (text) => text.replace('host;', 'host;te;'),
      'InvalidSignatureException',
      "The header 'te' is signed and did not arrive",
    ],
    [
      'a header signed twice',
      (text) => text.replace('host;', 'host;host;'),
      'IncompleteSignatureException',
      'each once',
    ],
    [
      'capitals in the signed headers',
      (text) => text.replace('host;', 'Host;'),
      'IncompleteSignatureException',
      'lower-case names',
    ],
    [
      'the signed headers in another order',
      (text) => text.replace('host;x-amz-content-sha256;x-amz-date', 'x-amz-date;x-amz-content-sha256;host'),
      'InvalidSignatureException',
      'does not match',
    ],
    [
      'another region',
      (text) => text.replace('/eu-central-1/', '/eu-central-2/'),
      'InvalidSignatureException',
      'does not match',
    ],
    ['a longer signature', (text) => `${text}0`, 'InvalidSignatureException', 'does not match'],
    [
      'a signature in capitals',
      (text) => text.replace(/[0-9a-f]{64}$/, (hex) => hex.toUpperCase()),
      'InvalidSignatureException',
      'does not match',
    ],
  ])('refuses an Authorization header with %s', async (_name, change, shape, words) => {
    const request = await signed()
    await verify(request)
    const spoiled = withHeader(request, 'authorization', change)
    expect(spoiled).not.toEqual(request)
    await expectRefusal(spoiled, shape, words)
  })

  it.each<[string, (request: SignedRequest) => SignedRequest]>([
    ['method', (request) => ({ ...request, method: 'PUT' })],
    ['path', (request) => ({ ...request, target: request.target.replace('/tags', '/Tags') })],
    ['encoding of the path', (request) => ({ ...request, target: request.target.replace('%3A', ':') })],
    ['query', (request) => ({ ...request, target: request.target.replace('=a', '=b') })],
    ['query, which has one more', (request) => ({ ...request, target: `${request.target}&b` })],
    ['query, which has one less', (request) => ({ ...request, target: request.target.replace(/\?.*/, '') })],
    ['a plus in the query', (request) => ({ ...request, target: request.target.replace('%2B', '+') })],
    ['a header', (request) => withHeader(request, 'x-amz-meta', () => '2')],
    ['the host', (request) => withHeader(request, 'host', () => 'elsewhere:8080')],
    ['the body', (request) => ({ ...request, body: Buffer.from('{} ') })],
    ['the body, which is gone', (request) => ({ ...request, body: new Uint8Array() })],
    ['the time', (request) => withHeader(request, 'x-amz-date', () => '20260301T120001Z')],
  ])('notices a change of %s', async (_name, change) => {
    const unsigned = {
      path: '/tags/a%3Ab',
      query: { a: 'a', plus: '1+1' },
      headers: { 'x-amz-meta': '1' },
    }
    // Without the hash in a header it is the signature alone that tells.
    for (const applyChecksum of [true, false]) {
      const request = await signed(unsigned, { applyChecksum })
      await verify(request)
      const spoiled = change(request)
      expect(spoiled).not.toEqual(request)
      await expectRefusal(spoiled, 'InvalidSignatureException', /does not match/)
    }
  })

  it('refuses a target that cannot be read', async () => {
    const request = await signed({ path: '/' })
    for (const target of ['.', '*', '', 'x', '?'])
      await expectRefusal(
        { ...request, target },
        'IncompleteSignatureException',
        `Cannot read the path of “${target}”`,
      )
    for (const pair of ['a=%zz', 'a=%', '%ff=1'])
      await expectRefusal(
        { ...request, target: `${request.target}?${pair}` },
        'IncompleteSignatureException',
        `Cannot read “${pair}” in the query`,
      )
  })

  it('lets clocks differ by five minutes, and names both times beyond that', async () => {
    const at = (milliseconds: number) => new Date(gateway.now().getTime() + milliseconds)
    const early = await signed({}, { at: at(5 * minuteMs) })
    const late = await signed({}, { at: at(-5 * minuteMs) })
    await verify(early)
    await verify(late)
    await expectRefusal(
      await signed({}, { at: at(5 * minuteMs + 1000) }),
      'InvalidSignatureException',
      'Signature not yet current: 20260301T120501Z is still later than 20260301T120500Z (20260301T120000Z + 5 min.)',
    )
    await expectRefusal(
      await signed({}, { at: at(-5 * minuteMs - 1000) }),
      'InvalidSignatureException',
      'Signature expired: 20260301T115459Z is now earlier than 20260301T115500Z (20260301T120000Z - 5 min.)',
    )
    gateway.pass(1)
    await expectRefusal(late, 'InvalidSignatureException', 'Signature expired: 20260301T115500Z')
  })

  it.each(['20260231T120000Z', '2026-03-01T12:00:00Z', '20260301T250000Z', '', 'now', '20260301T120000'])(
    'refuses %j as a time',
    async (time) => {
      const request = withHeader(await signed(), 'x-amz-date', () => time)
      await expectRefusal(request, 'IncompleteSignatureException', `Got '${time}' in x-amz-date`)
    },
  )

  it('takes the token of no session', async () => {
    const words = 'unset AWS_SESSION_TOKEN'
    const request = await signed({}, { sessionToken: 'token' })
    await expectRefusal(request, 'UnrecognizedClientException', words)
    const link = await signed({ method: 'GET', body: '' }, { sessionToken: 'token', expiresSeconds: 60 })
    await expectRefusal(link, 'UnrecognizedClientException', words)
  })
})

describe('verifyRequest() of a link', () => {
  const link = (expiresSeconds = 60, unsigned: Unsigned = {}) =>
    signed(
      { method: 'GET', path: `/tags/${encodeURIComponent(arn)}`, body: '', ...unsigned },
      { expiresSeconds },
    )

  it('takes it as long as it says, and not before it was made', async () => {
    const request = await link()
    expect(request.headers).toEqual([['host', 'localhost:8080']])
    expect((await verify(request)).accessKeyId).toBe(key.accessKeyId)
    gateway.pass(minuteMs)
    await verify(request)
    gateway.pass(1)
    await expectRefusal(
      request,
      'RequestExpired',
      'it held until 20260301T120100Z, and it is 20260301T120100Z; sign it anew',
    )
    gateway.pass(-7 * minuteMs)
    await expectRefusal(request, 'InvalidSignatureException', 'Signature not yet current: 20260301T120000Z')
  })

  it('takes one for a week, and with a query and a body', async () => {
    const request = await link(604_800, { method: 'POST', query: { a: ['2', '1'] }, body: '{"a":1}' })
    gateway.pass(604_800_000)
    await verify(request)
    await expectRefusal(
      { ...request, body: Buffer.from('{}') },
      'InvalidSignatureException',
      /does not match/,
    )
  })

  it.each<[string, (target: string) => string, AccessError['shape'], string]>([
    [
      'another path',
      (text) => text.replace('/tags/', '/tag/'),
      'InvalidSignatureException',
      'does not match',
    ],
    ['one parameter more', (text) => `${text}&a=1`, 'InvalidSignatureException', 'does not match'],
    [
      'a longer life',
      (text) => text.replace('Expires=60', 'Expires=600'),
      'InvalidSignatureException',
      'does not match',
    ],
    [
      'another time',
      (text) => text.replace('T120000Z', 'T120001Z'),
      'InvalidSignatureException',
      'does not match',
    ],
    [
      'no life',
      (text) => text.replace('&X-Amz-Expires=60', ''),
      'IncompleteSignatureException',
      "must include 'X-Amz-Expires'",
    ],
    [
      'a life too long',
      (text) => text.replace('Expires=60', 'Expires=604801'),
      'IncompleteSignatureException',
      'from 1 to 604800',
    ],
    [
      'a life of nothing',
      (text) => text.replace('Expires=60', 'Expires=0'),
      'IncompleteSignatureException',
      "not '0'",
    ],
    [
      'a life that is no number',
      (text) => text.replace('Expires=60', 'Expires=6e1'),
      'IncompleteSignatureException',
      "not '6e1'",
    ],
    [
      'no time',
      (text) => text.replace(/&X-Amz-Date=[^&]+/, ''),
      'IncompleteSignatureException',
      "must include 'X-Amz-Date'",
    ],
    [
      'no signature',
      (text) => text.replace(/&X-Amz-Signature=[^&]+/, ''),
      'IncompleteSignatureException',
      "must include 'X-Amz-Signature'",
    ],
    [
      'no algorithm',
      (text) => text.replace(/X-Amz-Algorithm=[^&]+&/, ''),
      'IncompleteSignatureException',
      "must include 'X-Amz-Algorithm'",
    ],
    [
      'another algorithm',
      (text) => text.replace('SHA256', 'SHA512'),
      'IncompleteSignatureException',
      "'AWS4-HMAC-SHA512'",
    ],
    [
      'two signatures',
      (text) => `${text}&X-Amz-Signature=0`,
      'IncompleteSignatureException',
      "has 'X-Amz-Signature' more than once",
    ],
    [
      'the host not signed',
      (text) => text.replace('Headers=host', 'Headers=te'),
      'InvalidSignatureException',
      "'Host' must be",
    ],
  ])('refuses one with %s', async (_name, change, shape, words) => {
    const request = await link()
    const spoiled = { ...request, target: change(request.target) }
    expect(spoiled.target).not.toBe(request.target)
    await expectRefusal(spoiled, shape, words)
  })
})

describe('verifyRequest() of a key', () => {
  const unknown = { accessKeyId: 'RHAKAAAAAAAAAAAAAAAA', secretAccessKey: 'rhsk_x' }

  it('refuses one that does not exist, is disabled or deleted, in the same words', async () => {
    const words = (id: string) => `there is no active access key ${id}`
    await expectRefusal(
      await signed({}, {}, unknown),
      'UnrecognizedClientException',
      words(unknown.accessKeyId),
    )
    await setAccessKeyStatus(gateway.store, key.accessKeyId, 'INACTIVE')
    await expectRefusal(await signed(), 'UnrecognizedClientException', words(key.accessKeyId))
    await setAccessKeyStatus(gateway.store, key.accessKeyId, 'ACTIVE')
    await verify(await signed())
  })

  it('refuses one whose time is over, and tells only whoever has the secret', async () => {
    const short = await newKey(gateway, { name: 'short', lifetimeDays: 1 })
    gateway.pass(86_400_000 - 1)
    await verify(await signed({}, {}, short))
    gateway.pass(1)
    await expectRefusal(
      await signed({}, {}, short),
      'ExpiredTokenException',
      `The access key “short” (${short.accessKeyId}) expired at 2026-03-02T12:00:00.000Z`,
    )
    await expectRefusal(
      await signed({}, {}, { ...short, secretAccessKey: 'another' }),
      'InvalidSignatureException',
      'does not match',
    )
  })

  it('refuses a wrong secret without saying anything of the right one', async () => {
    const { message } = await refusal(await signed({}, {}, { ...key, secretAccessKey: 'another' }))
    expect(message).toContain(`Check the secret of ${key.accessKeyId}`)
    expect(message).toContain("it arrived for host 'localhost:8080'")
    expect(message).not.toContain(key.secretAccessKey)
  })

  it('says what to do when the secret cannot be opened any more', async () => {
    const { accessKeyId: id } = key
    const found = await gateway.store.get('accessKey', { id })
    const other = await newKey(gateway)
    const sealedSecret =
      (await gateway.store.get('accessKey', { id: other.accessKeyId }))?.value.sealedSecret ?? ''
    if (found !== undefined)
      await gateway.store.replace('accessKey', { id }, 1, { ...found.value, sealedSecret })
    await expect(verify(await signed())).rejects.toThrow(
      `Cannot open the secret of ${id}: it was sealed with another key`,
    )
  })

  it('makes an address wait that guesses, while whoever has the secret goes on', async () => {
    for (let guess = 0; guess < 3; guess++)
      await expectRefusal(await signed({}, {}, unknown), 'UnrecognizedClientException', 'no active')
    const wrong = { ...key, secretAccessKey: 'another' }
    for (let guess = 0; guess < 2; guess++)
      await expectRefusal(await signed({}, {}, wrong), 'InvalidSignatureException', 'does not match')
    const error = await refusal(await signed({}, {}, wrong))
    expect(error).toMatchObject({
      shape: 'ThrottlingException',
      status: 429,
      headers: { 'Retry-After': '600' },
    })
    expect(error.message).toBe('Too many wrong signatures from 198.51.100.7; try again in 600 s')
    await verify(await signed())
    const elsewhere = { ...(await signed({}, {}, wrong)), address: '198.51.100.8' }
    await expectRefusal(elsewhere, 'InvalidSignatureException', 'does not match')
    gateway.pass(10 * minuteMs)
    await expectRefusal(await signed({}, {}, wrong), 'InvalidSignatureException', 'does not match')
  })

  it('does not count what is no guess', async () => {
    const request = await signed()
    const without = request.headers.filter(([name]) => name !== 'authorization')
    for (let index = 0; index < 10; index++)
      expect((await refusal({ ...request, headers: without })).status).toBe(403)
    await expectRefusal(await signed({}, {}, unknown), 'UnrecognizedClientException', 'no active')
  })

  it('notes once an hour when it was used', async () => {
    const used = async () => {
      // The note is written beside the request.
      await new Promise((resolve) => setImmediate(resolve))
      const found = await gateway.store.get('accessKey', { id: key.accessKeyId })
      return [found?.value.lastUsedAt, found?.revision]
    }
    expect(await used()).toEqual([undefined, 1])
    await verify(await signed())
    expect(await used()).toEqual(['2026-03-01T12:00:00.000Z', 2])
    gateway.pass(60 * minuteMs - 1)
    await verify(await signed())
    expect(await used()).toEqual(['2026-03-01T12:00:00.000Z', 2])
    gateway.pass(1)
    await verify(await signed())
    expect(await used()).toEqual(['2026-03-01T13:00:00.000Z', 3])
  })
})

describe('a caller', () => {
  const callerWith = async (wanted: Parameters<typeof newKey>[1]) =>
    verify(await signed({}, {}, await newKey(gateway, wanted)))

  it.each([
    [
      'viewer',
      ['DescribeSourceServers', 'ListWaves', 'GetReplicationConfiguration'],
      ['StartTest', 'TagResource', 'InitializeService'],
    ],
    ['operator', ['DescribeJobs', 'StartTest', 'DeleteJob'], ['InitializeService']],
    ['admin', ['DescribeJobs', 'StartTest', 'InitializeService'], []],
  ] as const)('with the role %s may do what that role may', async (role, open, closed) => {
    const caller = await callerWith({ role })
    expect(open.filter((operation) => caller.mayCall(operation))).toEqual(open)
    expect(closed.filter((operation) => caller.mayCall(operation))).toEqual([])
  })

  it('may do what its scopes name, and is told what those are', async () => {
    const caller = await callerWith({ name: 'tf', scopes: ['mgn:describe*', 'mgn:StartTest'] })
    const all = [
      'DescribeJobs',
      'DescribeSourceServers',
      'StartTest',
      'StartTesting',
      'StartCutover',
      'ListWaves',
    ]
    expect(all.filter((operation) => caller.mayCall(operation))).toEqual([
      'DescribeJobs',
      'DescribeSourceServers',
      'StartTest',
    ])
    caller.requireMayCall('StartTest')
    const denied = `The access key “tf” (${caller.accessKeyId}) is not authorized to perform: mgn:StartCutover: it is only for mgn:describe*, mgn:StartTest`
    expect(() => caller.requireMayCall('StartCutover')).toThrow(
      expect.objectContaining({ shape: 'AccessDeniedException', status: 403, message: denied }),
    )
    const viewer = await callerWith({ role: 'viewer' })
    expect(() => viewer.requireMayCall('StartTest')).toThrow('its role is viewer, and this needs operator')
  })
})

describe('whatever is signed', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 })
  const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 20 })
  const part = text.filter((one) => one !== '' && one !== '.' && one !== '..')
  const requests = fc.record({
    method: fc.constantFrom('GET', 'POST', 'DELETE'),
    path: fc.array(part, { maxLength: 4 }).map((parts) => `/${parts.map(encoded).join('/')}`),
    query: fc.dictionary(
      // The SDK's signer loses a parameter called __proto__ itself.
      text.filter((name) => !/^x-amz-/i.test(name) && name !== '' && name !== '__proto__'),
      fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
      { maxKeys: 4, noNullPrototype: true },
    ),
    headers: fc
      .array(ascii, { maxLength: 3 })
      .map((values) => Object.fromEntries(values.map((value, index) => [`x-amz-meta-${index}`, value]))),
    body: fc.uint8Array({ maxLength: 200 }),
  })
  const letters = 'abcXYZ0189-_.'.split('')

  /** `text` with another character at some place, or nothing where it has none that may change. */
  function changed(text: string, place: number, letter: string): string | undefined {
    const at = place % Math.max(1, text.length)
    const found = text.charAt(at)
    return found === '' || found === letter ? undefined : text.slice(0, at) + letter + text.slice(at + 1)
  }

  /** Hexadecimal digits of a query say the same in either case: what is handled later is the same, too. */
  function meansTheSame(one: string, other: string): boolean {
    const [first, second] = [one, other].map((target) => new URL(target, 'http://localhost'))
    return (
      one.split('?')[0] === other.split('?')[0] &&
      first?.searchParams.toString() === second?.searchParams.toString()
    )
  }

  const parameters = { seed: seedFor('signatures'), numRuns: 300 }

  it('by the SDK is taken, in a header and as a link', async () => {
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (unsigned, isLink) => {
        await verify(await signed(unsigned, isLink ? { expiresSeconds: 60 } : {}))
      }),
      parameters,
    )
  })

  it('is refused after a change of one byte', async () => {
    const places = fc.constantFrom('target', 'body', 'header', 'authorization')
    const wide = { ...gateway.services.rateLimits, api: { waitSeconds: () => 0, fail: () => undefined } }
    Object.assign(gateway.services, { rateLimits: wide })
    let refused = 0
    await fc.assert(
      fc.asyncProperty(
        requests,
        fc.boolean(),
        places,
        fc.nat(),
        fc.constantFrom(...letters),
        async (unsigned, isLink, place, at, letter) => {
          const request = await signed(unsigned, isLink ? { expiresSeconds: 60 } : {})
          const spoiled = spoil(request, place, at, letter)
          if (spoiled === undefined) return
          refused++
          await refusal(spoiled)
        },
      ),
      { ...parameters, numRuns: 1000 },
    )
    expect(refused).toBeGreaterThan(300)
  })

  function spoil(
    request: SignedRequest,
    place: string,
    at: number,
    letter: string,
  ): SignedRequest | undefined {
    if (place === 'body') {
      if (request.body.length === 0) return undefined
      const body = Uint8Array.from(request.body)
      const index = at % body.length
      body[index] = (body[index] ?? 0) ^ (1 << (at % 8))
      return { ...request, body }
    }
    if (place === 'target') {
      const target = changed(request.target, 1 + (at % Math.max(1, request.target.length - 1)), letter)
      return target === undefined || meansTheSame(request.target, target) ? undefined : { ...request, target }
    }
    const names = request.headers.map(([name]) => name)
    const name =
      place === 'authorization'
        ? names.find((known) => known === 'authorization')
        : names.filter((known) => known !== 'authorization')[at % Math.max(1, names.length - 1)]
    const value = request.headers.find(([known]) => known === name)?.[1] ?? ''
    const other = changed(value, at, letter)
    // White space at the ends and in runs is not signed.
    const plain = (written: string) => written.trim().replace(/\s+/g, ' ')
    if (name === undefined || other === undefined || plain(other) === plain(value)) return undefined
    return withHeader(request, name, () => other)
  }
})
