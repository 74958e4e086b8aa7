import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApi } from '../../../gateway/api/api_app.ts'
import { Claim, claimOrAnswer, sweepKeptAnswers } from '../../../gateway/kept_answers.ts'
import type { Services } from '../../../gateway/services.ts'
import { SecretBox } from '../../../store/secret_box.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import type { TestGateway } from './support.ts'
import { enrolServer, problemOf, putServer, serverOf, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
let token: string

beforeEach(async () => {
  gateway = await testGateway()
  token = await gateway.apiToken()
})

afterEach(() => gateway.close())

interface Call {
  key?: string
  body?: unknown
  token?: string
  method?: string
  services?: Partial<Services>
}

/** Asks a gateway of its own on the same store: what one knows, another knows, also after a restart. */
async function call(path: string, { key, body, services, method = 'POST', ...own }: Call = {}) {
  return createApi({ ...gateway.services, ...services }).request(path, {
    method,
    headers: {
      authorization: `Bearer ${own.token ?? token}`,
      'content-type': 'application/json',
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

const tokens = async () => (await gateway.store.list('token')).items.map(({ value }) => value)
const installationTokens = async () =>
  (await tokens()).filter(({ createdBy }) => createdBy === 'token test admin')
const kept = async () => (await gateway.store.list('keptAnswer')).items.map(({ value }) => value)

/** A store that does not take the answer, as that of a gateway that dies before it is kept. */
class DyingStore extends MemoryStore {
  readonly #own: MemoryStore
  constructor(own: MemoryStore) {
    super()
    this.#own = own
    this.get = own.get.bind(own)
    this.create = own.create.bind(own)
    this.remove = own.remove.bind(own)
    this.list = own.list.bind(own)
    this.replace = (kind, key, revision, value) =>
      kind === 'keptAnswer'
        ? Promise.reject(new Error('The gateway is gone'))
        : this.#own.replace(kind, key, revision, value)
  }
}

describe('Idempotency-Key', () => {
  it('makes a thing once, and answers the same again with its secret', async () => {
    const body = { uses: 3 }
    const first = await call('/tokens', { key: '"one"', body })
    const made = await first.text()
    expect(first.status).toBe(201)
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    const again = await call('/tokens', { key: 'one', body })
    expect(again.status).toBe(201)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(again.headers.get('content-type')).toBe('application/json')
    expect(await again.text()).toBe(made)
    expect(await installationTokens()).toMatchObject([{ usesLeft: 3 }])
    // What opens doors lies sealed.
    const secret = (JSON.parse(made) as { token: string }).token
    expect(JSON.stringify(await kept())).not.toContain(secret.slice(-20))
    expect(made).toContain(secret)
  })

  it.each([
    ['/webhooks', { url: 'https://example.test/hook' }, 'secret', 'webhook'],
    ['/access-keys', { name: 'ci', role: 'viewer' }, 'secretAccessKey', 'accessKey'],
  ] as const)('keeps the secret of POST %s sealed', async (path, body, member, kind) => {
    const made = (await (await call(path, { key: 'k', body })).json()) as Record<string, string>
    const again = (await (await call(path, { key: 'k', body })).json()) as Record<string, string>
    expect(again).toEqual(made)
    expect(made[member]?.length).toBeGreaterThan(20)
    expect(JSON.stringify(await kept())).not.toContain(made[member])
    expect((await gateway.store.list(kind)).items).toHaveLength(1)
  })

  it('is of one token, and of one request', async () => {
    expect((await call('/tokens', { key: 'k', body: { uses: 1 } })).status).toBe(201)
    for (const other of [
      call('/tokens', { key: 'k', body: { uses: 2 } }),
      call('/tokens?x=1', { key: 'k', body: { uses: 1 } }),
      call('/access-keys', { key: 'k', body: { uses: 1 } }),
    ]) {
      const refused = await other
      expect(refused.status).toBe(422)
      expect((await problemOf(refused)).type).toBe('urn:rehost:problem:idempotency-key-reused')
    }
    const somebody = await gateway.apiToken('operator')
    expect((await call('/tokens', { key: 'k', body: { uses: 2 }, token: somebody })).status).toBe(201)
    expect((await call('/tokens', { key: 'l', body: { uses: 1 } })).status).toBe(201)
    expect(await tokens()).toHaveLength(3)
  })

  it('answers refusals again, also when by now they would be none', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    const path = `/servers/${id}/actions/launch-test`
    const refused = await call(path, { key: 'k' })
    expect(refused.status).toBe(409)
    const detail = await refused.text()
    await putServer(gateway, id, upToDate(gateway))
    const again = await call(path, { key: 'k' })
    expect([again.status, again.headers.get('content-type')]).toEqual([409, 'application/problem+json'])
    expect(await again.text()).toBe(detail)
    expect((await call(path, { key: 'another' })).status).toBe(200)
  })

  it('does one of many that come at once; the others hear that it is being done, or its answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => call('/tokens', { key: 'k', body: { uses: 1 } })),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses).toContain(201)
    expect(statuses.filter((status) => status !== 201 && status !== 409)).toEqual([])
    for (const answer of answers.filter(({ status }) => status === 409)) {
      expect(answer.headers.get('retry-after')).toBe('1')
      expect((await problemOf(answer)).type).toBe('urn:rehost:problem:idempotency-key-in-use')
    }
    expect(await installationTokens()).toHaveLength(1)
  })

  it('may be tried again after a death in the middle, and nothing is started twice', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, upToDate(gateway))
    const path = `/servers/${id}/actions/launch-test`
    const dying = await call(path, { key: 'k', services: { store: new DyingStore(gateway.store) } })
    // Whoever is still there to hear it does.
    expect(dying.status).toBe(200)
    const soon = await call(path, { key: 'k' })
    expect((await problemOf(soon)).type).toBe('urn:rehost:problem:idempotency-key-in-use')
    gateway.pass(30_001)
    const retried = await call(path, { key: 'k' })
    expect((await problemOf(retried)).type).toBe('urn:rehost:problem:conflict')
    expect((await gateway.store.list('job')).items).toHaveLength(1)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('TESTING')
  })

  it('is free again after an answer that says nothing', async () => {
    const random = (): never => {
      throw new Error('No entropy')
    }
    expect((await call('/tokens', { key: 'k', services: { random } })).status).toBe(500)
    expect(await kept()).toEqual([])
    expect((await call('/tokens', { key: 'k' })).status).toBe(201)
  })

  it('says that it is done when the answer was too large to be kept', async () => {
    const claim = await claimOrAnswer(gateway.services, 'k', 'r')
    if (!(claim instanceof Claim)) throw new Error('Nobody has used this key')
    await claim.settle({ status: 201, headers: {}, body: 'x'.repeat(256 * 1024 + 1) })
    await expect(claimOrAnswer(gateway.services, 'k', 'r')).rejects.toMatchObject({
      status: 409,
      kind: 'answer-not-kept',
    })
  })

  it('says what to do when the sealing key was changed since, and does nothing twice', async () => {
    const first = await call('/tokens', { key: 'k', body: { uses: 3 } })
    expect(first.status).toBe(201)
    const services = { secretBox: new SecretBox(new Uint8Array(32).fill(9), gateway.services.random) }
    const again = await call('/tokens', { key: 'k', body: { uses: 3 }, services })
    expect([again.status, await problemOf(again)]).toEqual([
      409,
      expect.objectContaining({
        type: 'urn:rehost:problem:answer-not-kept',
        detail:
          'This request is done, with status 201; its answer was sealed with a key that is no longer in use, so look at what it was about, ' +
          'and take another Idempotency-Key to do it once more',
      }),
    ])
    expect(gateway.logged.filter((line) => line.startsWith('Cannot read the answer kept'))).toHaveLength(1)
    expect(await installationTokens()).toHaveLength(1)
    expect((await call('/tokens', { key: 'l', body: { uses: 3 }, services })).status).toBe(201)
  })

  it('is held for as long as the request runs', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const claim = await claimOrAnswer(gateway.services, 'k', 'r')
      if (!(claim instanceof Claim)) throw new Error('Nobody has used this key')
      for (let round = 0; round < 5; round++) {
        gateway.pass(20_000)
        await vi.advanceTimersByTimeAsync(10_000)
        await expect(claimOrAnswer(gateway.services, 'k', 'r')).rejects.toMatchObject({ status: 409 })
      }
      await claim.settle({ status: 200, headers: {}, body: 'done' })
      expect(await claimOrAnswer(gateway.services, 'k', 'r')).toMatchObject({ body: 'done' })
    } finally {
      vi.useRealTimers()
    }
  })

  it('is held, too, where the clock of another gateway is behind', async () => {
    const behind = (ms: number) => ({
      ...gateway.services,
      clock: () => new Date(gateway.now().getTime() - ms),
    })
    const claim = await claimOrAnswer(gateway.services, 'k', 'r')
    if (!(claim instanceof Claim)) throw new Error('Nobody has used this key')
    for (const ms of [1, 5000, 30_000])
      await expect(claimOrAnswer(behind(ms), 'k', 'r')).rejects.toMatchObject({
        status: 409,
        kind: 'idempotency-key-in-use',
      })
    await claim.settle({ status: 201, headers: {}, body: 'made once' })
    expect(await claimOrAnswer(behind(5000), 'k', 'r')).toMatchObject({ body: 'made once' })
  })

  it('is free when whoever held it has died and the clock was set back by more than that', async () => {
    const dead = await claimOrAnswer(gateway.services, 'k', 'r')
    if (!(dead instanceof Claim)) throw new Error('Nobody has used this key')
    const clock = () => new Date(gateway.now().getTime() - 3_600_000)
    const next = await claimOrAnswer({ ...gateway.services, clock }, 'k', 'r')
    if (!(next instanceof Claim)) throw new Error('The key is held')
    await next.giveUp()
    await dead.giveUp()
  })

  it('is forgotten after a day, and swept', async () => {
    await call('/tokens', { key: 'k' })
    gateway.pass(24 * 3_600_000 - 1)
    await sweepKeptAnswers(gateway.store, gateway.now())
    expect((await call('/tokens', { key: 'k' })).headers.get('idempotency-replayed')).toBe('true')
    gateway.pass(1)
    expect((await call('/tokens', { key: 'k' })).headers.get('idempotency-replayed')).toBeNull()
    expect(await installationTokens()).toHaveLength(2)
    gateway.pass(24 * 3_600_000)
    await sweepKeptAnswers(gateway.store, gateway.now())
    expect(await kept()).toEqual([])
  })

  it.each(['', '""', 'x'.repeat(256), 'tab\there'])('refuses what is no key: %j', async (key) => {
    const refused = await call('/tokens', { key })
    expect(refused.status).toBe(400)
    expect((await problemOf(refused)).detail).toMatch(/^Cannot read Idempotency-Key/)
    expect(await installationTokens()).toEqual([])
  })

  it('writes what is done into the audit log, and what is only answered not', async () => {
    await call('/tokens', { key: 'k' })
    await call('/tokens', { key: 'k' })
    const { items } = await gateway.store.list('auditEntry')
    expect(items.map(({ value }) => value.action)).toEqual(['POST /tokens'])
  })
})
