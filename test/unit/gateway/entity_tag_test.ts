import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { describedCalls } from '../../../gateway/api/openapi.ts'
import type { WebhookEndpoint } from '../../../domain/webhook.ts'
import { findAccessKey, noteAccessKeyUse } from '../../../gateway/people/access_keys.ts'
import type { TestGateway } from './support.ts'
import { enrolServer, getPage, postForm, problemOf } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
let token: string

beforeEach(async () => {
  gateway = await testGateway()
  token = await gateway.apiToken()
})

afterEach(() => gateway.close())

async function api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  return gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

const tagOf = async (path: string) => (await api('GET', path)).headers.get('etag') ?? ''

interface Resource {
  /** Where it is read and, unless told, written. */
  path: string
  /** Ways to change it, each to something else. */
  changes: unknown[]
  writtenAt?: string
}

/** Every resource that has a tag and can be changed, by the path in the description. */
const resources: Record<string, () => Promise<Resource>> = {
  '/servers/:id/protection': async () => ({
    path: `/servers/${(await enrolServer(gateway)).sourceServerId}/protection`,
    changes: [{ intervalMinutes: 10 }, { intervalMinutes: 20 }, { newDisks: 'TAKE' }],
  }),
  '/servers/:id/replication-configuration': async () => ({
    path: `/servers/${(await enrolServer(gateway)).sourceServerId}/replication-configuration`,
    changes: [{ priority: 1 }, { priority: 2 }, { bandwidthThrottlingMbps: 7 }],
  }),
  '/servers/:id/launch-configuration': async () => ({
    path: `/servers/${(await enrolServer(gateway)).sourceServerId}/launch-configuration`,
    changes: [{ name: 'one' }, { name: 'two' }, { bootTimeoutSeconds: 99 }],
  }),
  '/bandwidth': async () => ({
    path: '/bandwidth',
    changes: [1, 2, 3].map((limitMbps) => ({ sites: [{ name: 'berlin', limitMbps }] })),
  }),
  '/webhooks/:id': async () => {
    const made = await api('POST', '/webhooks', { url: 'https://example.test/hook' })
    return {
      path: `/webhooks/${((await made.json()) as WebhookEndpoint).webhookId}`,
      changes: [{ description: 'one' }, { description: 'two' }, { isEnabled: false }],
    }
  },
  '/parameters/:name': async () => {
    await api('PUT', '/parameters/set-up', { value: 'none' })
    return { path: '/parameters/set-up', changes: ['one', 'two', 'three'].map((value) => ({ value })) }
  },
  '/access-keys/:id/status': async () => {
    const made = await api('POST', '/access-keys', { name: 'ci', role: 'viewer' })
    const path = `/access-keys/${((await made.json()) as { accessKeyId: string }).accessKeyId}`
    return {
      path,
      writtenAt: `${path}/status`,
      changes: ['ACTIVE', 'INACTIVE', 'ACTIVE'].map((status) => ({ status })),
    }
  },
}

async function resource(name: string): Promise<Resource> {
  const make = resources[name]
  if (make === undefined) throw new Error(`There is no ${name}`)
  return make()
}

describe('ETag and If-Match', () => {
  it('are of every resource that is changed by PUT', () => {
    const tagged = describedCalls.filter(({ method, isTagged }) => method === 'put' && isTagged)
    expect(tagged.map(({ path }) => path).sort()).toEqual(Object.keys(resources).sort())
    expect(describedCalls.filter(({ method, isTagged }) => method === 'put' && !isTagged)).toEqual([])
  })

  it.each(Object.keys(resources))('%s: what was not seen is not overwritten', async (name) => {
    const { path, changes, writtenAt = path } = await resource(name)
    const [mine, theirs, later] = changes
    const seen = await tagOf(path)
    expect(seen).toMatch(/^"[0-9a-f]+"$/)
    expect((await api('PUT', writtenAt, theirs, { 'if-match': seen })).status).toBe(200)
    const now = await api('GET', path)
    const text = await now.text()
    expect(now.headers.get('etag')).not.toBe(seen)

    const refused = await api('PUT', writtenAt, mine, { 'if-match': seen })
    expect(refused.status).toBe(412)
    expect(refused.headers.get('etag')).toBe(now.headers.get('etag'))
    expect(await problemOf(refused)).toMatchObject({ type: 'urn:rehost:problem:precondition-failed' })
    const weak = await api('PUT', writtenAt, mine, { 'if-match': `W/${now.headers.get('etag')}` })
    expect(weak.status).toBe(412)
    expect(await (await api('GET', path)).text()).toBe(text)

    const listed = { 'if-match': `${seen}, ${now.headers.get('etag')}` }
    expect((await api('PUT', writtenAt, later, listed)).status).toBe(200)
    expect((await api('PUT', writtenAt, theirs, { 'if-match': '*' })).status).toBe(200)
    expect((await api('PUT', writtenAt, later)).status).toBe(200)
  })

  it.each(Object.keys(resources))('%s: what is known is not sent again', async (name) => {
    const { path, changes, writtenAt = path } = await resource(name)
    const tag = await tagOf(path)
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const answer = await api('GET', path, undefined, { 'if-none-match': known })
      expect([answer.status, await answer.text(), answer.headers.get('etag')]).toEqual([304, '', tag])
    }
    expect((await api('HEAD', path, undefined, { 'if-none-match': tag })).status).toBe(304)
    await api('PUT', writtenAt, changes[1])
    expect((await api('GET', path, undefined, { 'if-none-match': tag })).status).toBe(200)
  })

  it('looks at the version in the write itself: somebody who is faster is seen', async () => {
    const { path, changes } = await resource('/webhooks/:id')
    const seen = await tagOf(path)
    const replace = gateway.store.replace.bind(gateway.store)
    vi.spyOn(gateway.store, 'replace').mockImplementationOnce(async (kind, key, revision, value) => {
      const known = await gateway.store.get('webhook', key)
      await replace('webhook', key, revision, { ...known!.value, description: 'theirs' })
      return replace(kind, key, revision, value)
    })
    expect((await api('PUT', path, changes[0], { 'if-match': seen })).status).toBe(412)
    expect(await (await api('GET', path)).json()).toMatchObject({ description: 'theirs' })
  })

  it('of an access key stays the same while the key is used', async () => {
    const { path } = await resource('/access-keys/:id/status')
    const seen = await tagOf(path)
    const { value } = await findAccessKey(gateway.store, path.split('/').at(-1) ?? '')
    await noteAccessKeyUse(gateway.services, value)
    expect(await (await api('GET', path)).json()).toMatchObject({ lastUsedAt: gateway.now().toISOString() })
    const change = { status: 'INACTIVE' }
    const changed = await api('PUT', `${path}/status`, change, { 'if-match': seen })
    expect(changed.status).toBe(200)
    expect((await api('DELETE', path, undefined, { 'if-match': seen })).status).toBe(412)
    const tag = changed.headers.get('etag') ?? ''
    expect((await api('DELETE', path, undefined, { 'if-match': tag })).status).toBe(204)
  })

  it('keeps what has changed from being deleted', async () => {
    const webhook = await resource('/webhooks/:id')
    const key = await resource('/access-keys/:id/status')
    const { tokenId } = (await (await api('POST', '/tokens', { uses: 2 })).json()) as { tokenId: string }
    const before = await tagOf(`/tokens/${tokenId}`)
    const found = await gateway.store.get('token', { id: tokenId })
    await gateway.store.replace('token', { id: tokenId }, 1, { ...found!.value, usesLeft: 1 })
    expect((await api('DELETE', `/tokens/${tokenId}`, undefined, { 'if-match': before })).status).toBe(412)
    expect((await gateway.store.get('token', { id: tokenId }))?.value.usesLeft).toBe(1)
    for (const { path } of [webhook, key]) {
      const tag = await tagOf(path)
      const refused = await api('DELETE', path, undefined, { 'if-match': '"0"' })
      expect(refused.status).toBe(412)
      expect((await api('DELETE', path, undefined, { 'if-match': tag })).status).toBe(204)
      expect((await api('DELETE', path, undefined, { 'if-match': tag })).status).toBe(404)
    }
  })

  it('tells a server by what is shown of it, live figures too', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const path = `/servers/${sourceServerId}`
    const tag = await tagOf(path)
    expect((await api('GET', path, undefined, { 'if-none-match': tag })).status).toBe(304)
    await gateway.telemetry.offer({
      sourceServerId,
      at: gateway.now().toISOString(),
      state: 'CONTINUOUS',
      lagMs: 900,
      backlogBytes: 0,
      bytesPerSecond: 5,
      durableBytes: 0,
      wireBytes: 99,
      rescans: 0,
      disks: [],
    })
    const answer = await api('GET', path, undefined, { 'if-none-match': tag })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ sourceServerId, telemetry: { sourceServerId } })
  })
})

describe('the forms of settings', () => {
  const versionIn = (page: string) => /name="version" value="([^"]*)"/.exec(page)?.[1] ?? ''

  it.each([
    [
      'protection',
      async (): Promise<string> => `/servers/${(await enrolServer(gateway)).sourceServerId}/protection`,
      {
        intervalMinutes: '10',
        maxFreezeMs: '5000',
        hookTimeoutSeconds: '10',
        maxHoldSeconds: '30',
        onHookFailure: 'FAIL',
        newDisks: 'OFFER',
      },
      { intervalMinutes: '20' },
    ],
    [
      'bandwidth',
      (): Promise<string> => Promise.resolve('/settings/bandwidth'),
      { timeZone: 'UTC', calendar: '', sites: 'berlin 1' },
      { sites: 'berlin 2' },
    ],
    [
      'webhook',
      async (): Promise<string> => `/settings${(await resource('/webhooks/:id')).path}`,
      { url: 'https://example.test/hook', description: 'one', pattern: '{}' },
      { description: 'two' },
    ],
  ] as const)('%s: tells when somebody else has saved meanwhile', async (_name, address, theirs, mine) => {
    const cookie = await gateway.signIn()
    const path = await address()
    const version = versionIn(await (await getPage(gateway, path, cookie)).text())
    expect(version).not.toBe('')
    expect((await postForm(gateway, path, { ...theirs, version }, cookie)).status).toBe(303)
    const refused = await postForm(gateway, path, { ...theirs, ...mine, version }, cookie)
    const page = await refused.text()
    expect(refused.status).toBe(409)
    expect(page).toContain('Somebody else has changed these settings meanwhile')
    expect(page).toContain(Object.values(mine)[0])
    const again = { ...theirs, ...mine, version: versionIn(page) }
    expect((await postForm(gateway, path, again, cookie)).status).toBe(303)
  })
})
