import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { TestGateway } from './support.ts'
import { safeNext } from '../../../gateway/session_guard.ts'
import { enrolServer, putServer, serverOf, testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const origin = 'http://localhost'

async function get(path: string, cookie = '', headers: Record<string, string> = {}): Promise<Response> {
  return gateway.app.request(`${origin}${path}`, { headers: { cookie, ...headers } })
}

async function post(
  path: string,
  form: Record<string, string>,
  cookie = '',
  headers: Record<string, string> = { origin },
): Promise<Response> {
  return gateway.app.request(`${origin}${path}`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  })
}

async function addPassword(userName: string, password: string): Promise<void> {
  const { ensureAdmin } = await import('../../../gateway/people/accounts.ts')
  await ensureAdmin(gateway.store, { preset: password, random: gateway.services.random, clock: gateway.now })
  expect((await gateway.store.get('user', { id: userName }))?.value.passwordHash).toMatch(/^\$argon2id\$/)
}

const upToDate = (server: SourceServer): SourceServer => {
  const { activeTask: _done, ...rest } = server
  return {
    ...rest,
    lifecycle: { ...server.lifecycle, state: 'READY_FOR_TEST' },
    replication: { ...server.replication, state: 'CONTINUOUS' },
    agent: { ...server.agent, lastSeenAt: gateway.now().toISOString() },
  }
}

describe('signing in', () => {
  it('sends strangers to sign in, and back to where they wanted to go', async () => {
    const response = await get('/servers?view=archived')
    expect([response.status, response.headers.get('location')]).toEqual([
      303,
      '/sign-in?next=%2Fservers%3Fview%3Darchived',
    ])
    expect(await (await get('/sign-in?next=%2Fservers%3Fview%3Darchived')).text()).toContain(
      'value="/servers?view=archived"',
    )
  })

  it('gives a cookie that scripts and other sites do not get, and keeps its hash alone', async () => {
    await addPassword('admin', 'a good password')
    const response = await post('/sign-in', { userName: 'admin', password: 'a good password', next: '/jobs' })
    expect([response.status, response.headers.get('location')]).toEqual([303, '/jobs'])
    const cookie = response.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/^rehost_session=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/)
    const secret = /rehost_session=([^;]+)/.exec(cookie)?.[1] ?? ''
    expect(JSON.stringify((await gateway.store.list('session')).items)).not.toContain(secret)
    expect((await get('/servers', `rehost_session=${secret}`)).status).toBe(200)
    expect((await get('/servers', 'rehost_session=another')).status).toBe(303)
    gateway.pass(12 * 3_600_000)
    expect((await get('/servers', `rehost_session=${secret}`)).status).toBe(303)
    expect((await gateway.store.list('session')).items).toEqual([])
  })

  it('uses a cookie bound to host and HTTPS over HTTPS', async () => {
    await addPassword('admin', 'a good password')
    const response = await gateway.app.request('https://localhost/sign-in', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://localhost' },
      body: 'userName=admin&password=a+good+password',
    })
    expect(response.headers.get('set-cookie')).toMatch(
      /^__Host-rehost_session=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
  })

  it('refuses wrong names and passwords alike, and guessing altogether', async () => {
    await addPassword('admin', 'a good password')
    for (const form of [
      { userName: 'admin', password: 'wrong' },
      { userName: 'nobody', password: 'a good password' },
      { userName: 'admin', password: 'x'.repeat(5000) },
    ]) {
      const response = await post('/sign-in', form)
      expect(response.status).toBe(401)
      expect(await response.text()).toContain('User name or password is wrong.')
    }
    await post('/sign-in', { userName: 'admin', password: 'wrong' })
    await post('/sign-in', { userName: 'admin', password: 'wrong' })
    const refused = await post('/sign-in', { userName: 'admin', password: 'a good password' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '900'])
    gateway.pass(900_000)
    expect((await post('/sign-in', { userName: 'admin', password: 'a good password' })).status).toBe(303)
  })

  it('ends with signing out', async () => {
    const cookie = await gateway.signIn()
    expect((await post('/sign-out', {}, cookie)).status).toBe(303)
    expect((await get('/servers', cookie)).status).toBe(303)
  })

  it.each([
    ['//evil.example', '/servers'],
    ['/\\evil.example', '/servers'],
    ['https://evil.example', '/servers'],
    ['javascript:alert(1)', '/servers'],
    ['/a b', '/servers'],
    ['/jobs?x=1', '/jobs?x=1'],
  ])('never leads to another site: %s', (next, expected) => {
    expect(safeNext(next)).toBe(expected)
  })

  it('shows the first password once, or takes the one given', async () => {
    const { ensureAdmin, checkPassword } = await import('../../../gateway/people/accounts.ts')
    const outside = { random: gateway.services.random, clock: gateway.now }
    const made = await ensureAdmin(gateway.store, outside)
    expect(made).toMatch(/^([a-z2-9]{5}-){3}[a-z2-9]{5}$/)
    expect(await ensureAdmin(gateway.store, outside)).toBeUndefined()
    expect((await checkPassword(gateway.store, 'admin', made ?? ''))?.role).toBe('admin')
    expect(await ensureAdmin(gateway.store, { ...outside, preset: 'another password' })).toBeUndefined()
    expect(await checkPassword(gateway.store, 'admin', made ?? '')).toBeUndefined()
    expect((await checkPassword(gateway.store, 'admin', 'another password'))?.userName).toBe('admin')
  })
})

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

describe('roles', () => {
  it('let viewers look and not act', async () => {
    const server = await putServer(gateway, (await enrolServer(gateway)).sourceServerId, upToDate)
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
      post('/settings/installation-tokens/tok-00000000000000001/revoke', {}, cookie),
      post('/settings/api-tokens', { name: 'x', role: 'admin' }, cookie),
    ]
    for (const response of await Promise.all(attempts)) {
      expect(response.status).toBe(403)
      expect(await response.text()).toContain('viewer is viewer')
    }
    expect((await serverOf(gateway, server.sourceServerId)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('let operators act and not make API tokens', async () => {
    const server = await putServer(gateway, (await enrolServer(gateway)).sourceServerId, upToDate)
    const cookie = await gateway.signIn('operator')
    expect((await post(`/servers/${server.sourceServerId}/actions/launch-test`, {}, cookie)).status).toBe(303)
    expect((await post('/settings/api-tokens', { name: 'x', role: 'admin' }, cookie)).status).toBe(403)
    expect(await (await get('/settings', cookie)).text()).not.toContain('API tokens')
  })
})

describe('pages', () => {
  it('offer the first server when there is none', async () => {
    const page = await (await get('/servers', await gateway.signIn())).text()
    expect(page).toContain('Add your first server')
    expect((await get('/', await gateway.signIn())).headers.get('location')).toBe('/servers')
  })

  it('make an install command that is shown once, and wait for who comes with it', async () => {
    const cookie = await gateway.signIn()
    expect(await (await get('/servers/add', cookie)).text()).not.toContain('--token')
    const page = await (await post('/servers/add', { uses: '1', lifetimeMinutes: '15' }, cookie)).text()
    const command =
      /curl -fsSk --pinnedpubkey &#39;sha256\/\/[^&]+&#39; https:\/\/192\.0\.2\.10:8443\/install\.sh \| sh -s -- --token (tok-[0-9a-f]{17})\.[0-9a-f]{64}/.exec(
        page,
      )
    expect(command).not.toBeNull()
    const id = command?.[1] ?? ''
    expect(page).toContain('Waiting for first contact')
    const status = await (await get(`/servers/add/${id}`, cookie)).text()
    expect(status).toContain('cannot be shown again')
    expect(status).not.toContain('--token')
    gateway.pass(15 * 60_000)
    expect(await (await get(`/servers/add/${id}`, cookie)).text()).toContain('The token has expired')
    expect((await get('/servers/add/tok-00000000000000009', cookie)).status).toBe(404)
  })

  it.each([
    ['0', '60'],
    ['1001', '60'],
    ['1.5', '60'],
    ['x', '60'],
    ['1', '0'],
    ['1', '99999999'],
  ])('refuse a command for %s servers and %s minutes', async (uses, lifetimeMinutes) => {
    expect((await post('/servers/add', { uses, lifetimeMinutes }, await gateway.signIn())).status).toBe(422)
    expect((await gateway.store.list('token')).items).toEqual([])
  })

  it('list, search and keep archived servers apart', async () => {
    await enrolServer(gateway, 'alpha')
    const beta = await enrolServer(gateway, 'beta')
    await putServer(gateway, beta.sourceServerId, (server) => ({
      ...server,
      isArchived: true,
      tags: { tier: 'db' },
    }))
    const cookie = await gateway.signIn()
    const text = async (path: string) => (await get(path, cookie)).text()
    gateway.pass(2000)
    expect(await text('/servers')).toContain('alpha')
    expect(await text('/servers')).not.toContain('beta')
    expect(await text('/servers?view=archived&q=tier%3Ddb')).toContain('beta')
    expect(await text('/servers?q=no+such')).toContain('No server matches')
  })

  it('answer unknown things with a page of their own', async () => {
    const cookie = await gateway.signIn()
    for (const path of [
      '/nothing',
      '/servers/s-00000000000000009',
      '/servers/x',
      '/jobs/mgnjob-00000000000000009',
      '/jobs/x',
    ]) {
      const response = await get(path, cookie)
      expect(response.status).toBe(404)
      expect(await response.text()).toContain('Source servers')
    }
    const { sourceServerId } = await enrolServer(gateway)
    expect((await get(`/servers/${sourceServerId}/actions/explode`, cookie)).status).toBe(404)
  })

  it('change launch settings, and refuse what cannot be read', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const form = {
      name: 'new-name',
      rightSizing: 'NONE',
      bootMode: 'UEFI',
      launchDisposition: 'STARTED',
      bootTimeoutSeconds: '120',
      reachablePorts: '22, 8080',
      httpChecks: '80 / It works\r\n\r\n8080 /health\r\n',
    }
    const address = `/servers/${sourceServerId}/launch-configuration`
    expect((await post(address, form, cookie)).headers.get('location')).toBe(
      `/servers/${sourceServerId}?done=launch-configuration`,
    )
    expect((await serverOf(gateway, sourceServerId)).launchConfiguration).toEqual({
      name: 'new-name',
      rightSizing: 'NONE',
      bootMode: 'UEFI',
      launchDisposition: 'STARTED',
      bootTimeoutSeconds: 120,
      reachablePorts: [22, 80, 8080],
      httpChecks: [
        { port: 80, path: '/', contains: 'It works' },
        { port: 8080, path: '/health' },
      ],
    })
    for (const bad of [
      { httpChecks: 'hello' },
      { reachablePorts: '99999' },
      { bootTimeoutSeconds: '1' },
      { name: ' ' },
      { bootMode: 'x' },
    ]) {
      expect((await post(address, { ...form, ...bad }, cookie)).status).toBe(422)
    }
    expect(await (await get(address, cookie)).text()).toContain('80 / It works\n8080 /health')
  })

  it('manage tokens', async () => {
    const cookie = await gateway.signIn()
    const made = await (await post('/settings/api-tokens', { name: 'ci', role: 'operator' }, cookie)).text()
    const secret = /rehost_[\w-]{43}/.exec(made)?.[0] ?? ''
    const api = () =>
      gateway.app.request(`${origin}/api/v1/servers`, { headers: { authorization: `Bearer ${secret}` } })
    expect((await api()).status).toBe(200)
    const settings = await (await get('/settings', cookie)).text()
    expect(settings).not.toContain(secret)
    const address = /\/settings\/api-tokens\/[0-9a-f]{64}\/revoke/.exec(settings)?.[0] ?? ''
    expect((await post(address, {}, cookie)).status).toBe(303)
    expect((await api()).status).toBe(401)
    expect((await post('/settings/api-tokens', { name: '', role: 'operator' }, cookie)).status).toBe(400)

    const token = await gateway.installationToken()
    const [id] = token.split('.')
    expect((await post(`/settings/installation-tokens/${id}/revoke`, {}, cookie)).status).toBe(303)
    expect(await (await get('/settings', cookie)).text()).toContain('revoked')
  })

  it('serve static files for ever and under no other name', async () => {
    const page = await (await get('/sign-in')).text()
    const css = /\/static\/app\.[0-9a-f]{12}\.css/.exec(page)?.[0] ?? ''
    const response = await get(css)
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(response.headers.get('content-type')).toBe('text/css; charset=utf-8')
    for (const path of ['/static/app.css', '/static/..%2f..%2fpackage.json', '/static/x'])
      expect((await get(path)).status).toBe(404)
  })
})

describe('actions', () => {
  const act = async (id: string, slug: string, cookie: string) =>
    post(`/servers/${id}/actions/${slug}`, {}, cookie)

  it('carry a server from ready to archived', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate,
    )
    const launched =
      (purpose: 'TEST' | 'CUTOVER') =>
      (server: SourceServer): SourceServer => {
        const { activeTask, ...rest } = server
        return {
          ...rest,
          launchedInstance: {
            machineId: 'm-00000000000000001' as never,
            imageId: 'img-00000000000000001' as never,
            snapshotIds: [],
            jobId: activeTask?.jobId as never,
            purpose,
            launchedAt: gateway.now().toISOString(),
            firstBoot: 'SUCCEEDED',
          },
        }
      }
    const ended = ({ activeTask: _over, ...server }: SourceServer): SourceServer => server

    const question = await (await get(`/servers/${id}/actions/launch-test`, cookie)).text()
    expect(question).toContain(`action="/servers/${id}/actions/launch-test"`)
    expect((await act(id, 'launch-test', cookie)).headers.get('location')).toBe(
      `/servers/${id}?done=launch-test`,
    )
    const testing = await serverOf(gateway, id)
    const jobId = String(testing.activeTask?.jobId)
    expect(testing.lifecycle.state).toBe('TESTING')
    expect((await gateway.store.get('job', { id: jobId }))?.value).toMatchObject({
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      actor: 'admin',
      status: 'PENDING',
    })
    expect(gateway.wakeUps.added.at(-1)).toEqual({ queue: 'launch', taskId: `launch-${id}-${jobId}` })
    expect(await (await get(`/servers/${id}`, cookie)).text()).toContain('Launching a machine')
    const job = await (await get(`/jobs/${jobId}`, cookie)).text()
    expect(job).toContain('Reach a consistency point')

    const busy = await act(id, 'mark-ready-for-cutover', cookie)
    expect(busy.status).toBe(409)
    expect(await busy.text()).toContain('Wait: a machine is being launched')

    await putServer(gateway, id, launched('TEST'))
    for (const slug of ['mark-ready-for-cutover', 'launch-cutover'])
      expect((await act(id, slug, cookie)).status).toBe(303)
    await putServer(gateway, id, launched('CUTOVER'))
    for (const slug of ['finalize']) expect((await act(id, slug, cookie)).status).toBe(303)
    expect(await serverOf(gateway, id)).toMatchObject({
      lifecycle: { state: 'CUTOVER' },
      agent: { desired: 'UNINSTALL' },
    })
    await putServer(gateway, id, ended)
    expect((await act(id, 'archive', cookie)).status).toBe(303)
    expect((await act(id, 'delete', cookie)).headers.get('location')).toBe('/servers?done=delete')
    expect((await serverOf(gateway, id)).activeTask?.kind).toBe('DELETE')
    expect((await get('/jobs', cookie)).status).toBe(200)
  })

  it('revert by the place where the server stands', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate,
    )
    await putServer(gateway, id, (server) => ({
      ...server,
      lifecycle: { ...server.lifecycle, state: 'CUTTING_OVER' },
    }))
    await act(id, 'revert', cookie)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_CUTOVER')
    await act(id, 'revert', cookie)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('do harmless things at once', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate,
    )
    for (const slug of ['rescan', 'pause', 'resume']) expect((await act(id, slug, cookie)).status).toBe(303)
    expect(await serverOf(gateway, id)).toMatchObject({
      agent: { desired: 'REPLICATE' },
      replication: { rescanEpoch: 1 },
    })
  })

  it('let one of two racing operators win', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate,
    )
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await act(id, 'launch-test', cookie)).status),
    )
    expect(statuses.filter((status) => status === 303)).toHaveLength(1)
    expect(statuses.filter((status) => status === 409)).toHaveLength(19)
    expect((await gateway.store.list('job')).items).toHaveLength(1)
  })
})

describe('health', () => {
  it('is open, and says more when asked', async () => {
    expect(await (await get('/livez')).text()).toBe('ok\n')
    expect(await (await get('/readyz')).text()).toBe('ready\n')
    expect(await (await get('/readyz?verbose')).text()).toBe(
      '[+]store ok (0 ms)\n[+]redis ok (0 ms)\n[+]queues ok (0 ms)\nready\n',
    )
    gateway.wakeUps.fails = true
    const response = await get('/readyz?verbose')
    expect(response.status).toBe(503)
    expect(await response.text()).toContain('[-]queues failed: Cannot reach Redis')
  })

  it('counts servers in metrics', async () => {
    const server = await putServer(
      gateway,
      (await enrolServer(gateway, 'evil"\n\\host')).sourceServerId,
      upToDate,
    )
    gateway.telemetry.figures.set(server.sourceServerId, {
      sourceServerId: server.sourceServerId,
      at: gateway.now().toISOString(),
      state: 'CONTINUOUS',
      lagMs: 1500,
      backlogBytes: 42,
      bytesPerSecond: 1000,
      durableBytes: 0,
      wireBytes: 0,
      rescans: 0,
      disks: [],
    })
    const text = await (await get('/metrics')).text()
    expect(text).toContain('rehost_source_servers{state="READY_FOR_TEST"} 1\n')
    expect(text).toContain(
      `rehost_replication_lag_seconds{source_server_id="${server.sourceServerId}",hostname="evil\\"\\n\\\\host"} 1.5\n`,
    )
    expect(text).toContain('rehost_replication_backlog_bytes{')
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) rehost_\w+ .+|rehost_\w+(\{.*\})? -?[\d.e+]+)$/)
  })
})
