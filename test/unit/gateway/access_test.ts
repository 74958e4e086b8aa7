import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { RevisionConflictError } from '../../../store/store.ts'
import { enrolServer, getPage, origin, postForm, putServer, serverOf, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const get = (path: string, cookie?: string) => getPage(gateway, path, cookie)
const post = (
  path: string,
  form: Record<string, string>,
  cookie?: string,
  headers?: Record<string, string>,
) => postForm(gateway, path, form, cookie, headers)

describe('requests from elsewhere', () => {
  it.each([
    ['another site', { origin: 'https://evil.example' }],
    ['another site that fetches', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['a browser that hides it', {}],
  ])('are refused from %s', async (_name, headers) => {
    const server = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const response = await post(`/servers/${server.sourceServerId}/actions/pause`, {}, cookie, headers)
    expect(response.status).toBe(403)
    expect((await serverOf(gateway, server.sourceServerId)).agent.desired).toBe('REPLICATE')
  })

  it('are refused when they are no form, which the check of the origin would let through', async () => {
    const server = await enrolServer(gateway)
    const response = await gateway.app.request(`${origin}/servers/${server.sourceServerId}/actions/pause`, {
      method: 'POST',
      headers: {
        cookie: await gateway.signIn(),
        'content-type': 'application/json',
        origin: 'https://evil.example',
      },
      body: '{}',
    })
    expect(response.status).toBe(415)
    expect((await serverOf(gateway, server.sourceServerId)).agent.desired).toBe('REPLICATE')
  })

  it('meet strict headers on every page', async () => {
    for (const path of ['/sign-in', '/servers', '/nothing', '/livez', '/api/v1/servers']) {
      const { headers } = await get(path, await gateway.signIn())
      const policy = headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("script-src 'self'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
    }
  })
})

describe('a page that is refused for now', () => {
  it('says when to come again', async () => {
    const cookie = await gateway.signIn()
    const { store } = gateway
    const list = store.list.bind(store)
    store.list = () => Promise.reject(new RevisionConflictError('Somebody was faster'))
    const response = await get('/jobs', cookie)
    store.list = list
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
  })
})

describe('roles', () => {
  it('let viewers look and not act', async () => {
    const server = await putServer(gateway, (await enrolServer(gateway)).sourceServerId, upToDate(gateway))
    const cookie = await gateway.signIn('viewer')
    const page = await (await get(`/servers/${server.sourceServerId}`, cookie)).text()
    expect(page).toContain('web-1')
    expect(page).not.toContain('/actions/')
    expect(await (await get('/servers', cookie)).text()).not.toContain('/servers/add')
    const attempts = [
      get('/servers/add', cookie),
      post('/servers/add', { uses: '1', lifetimeMinutes: '60' }, cookie),
      get(`/servers/${server.sourceServerId}/actions/launch-test`, cookie),
      post(`/servers/${server.sourceServerId}/actions/launch-test`, {}, cookie),
      post(`/servers/${server.sourceServerId}/launch-configuration`, {}, cookie),
      post(`/servers/${server.sourceServerId}/replication-configuration`, {}, cookie),
      post('/settings/bandwidth', {}, cookie),
      post('/settings/installation-tokens/tok-00000000000000001/revoke', {}, cookie),
      post('/settings/api-tokens', { name: 'x', role: 'admin' }, cookie),
      post('/settings/access-keys', { name: 'x', role: 'viewer', scopes: '*' }, cookie),
      post('/settings/access-keys/RHAKAAAAAAAAAAAAAAAA/enable', {}, cookie),
      post('/settings/access-keys/RHAKAAAAAAAAAAAAAAAA/delete', {}, cookie),
    ]
    for (const response of await Promise.all(attempts)) {
      expect(response.status).toBe(403)
      expect(await response.text()).toContain('viewer is viewer')
    }
    expect((await serverOf(gateway, server.sourceServerId)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('let operators act and make neither API tokens nor access keys', async () => {
    const server = await putServer(gateway, (await enrolServer(gateway)).sourceServerId, upToDate(gateway))
    const cookie = await gateway.signIn('operator')
    expect((await post(`/servers/${server.sourceServerId}/actions/launch-test`, {}, cookie)).status).toBe(303)
    expect((await post('/settings/api-tokens', { name: 'x', role: 'admin' }, cookie)).status).toBe(403)
    const key = { name: 'x', role: 'viewer', scopes: '*' }
    expect((await post('/settings/access-keys', key, cookie)).status).toBe(403)
    const settings = await (await get('/settings', cookie)).text()
    expect(settings).not.toContain('API tokens')
    expect(settings).not.toContain('Access keys')
  })
})
