import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { enrolServer, getPage, origin, postForm, putServer, serverOf } from './callers.ts'
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

  it('say of a server whose replication is over that it is over, not that nothing was copied', async () => {
    const { sourceServerId } = await enrolServer(gateway, 'moved')
    await putServer(gateway, sourceServerId, (server) => ({
      ...server,
      lifecycle: { ...server.lifecycle, state: 'CUTOVER' },
      replication: { ...server.replication, state: 'DISCONNECTED' },
    }))
    const page = await (await get(`/servers/${sourceServerId}`, await gateway.signIn())).text()
    expect(page).toContain('Replication has ended')
    expect(page).not.toContain('Copied')
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

  it('keep what was entered when it is refused, and say in the words of the form what is wanted', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const form = { name: 'kept', rightSizing: 'NONE', bootMode: 'UEFI', launchDisposition: 'STOPPED' }
    const refused = await post(
      `/servers/${sourceServerId}/launch-configuration`,
      { ...form, bootTimeoutSeconds: '5', reachablePorts: '22', httpChecks: '80 /kept' },
      cookie,
    )
    const page = await refused.text()
    expect(page).toContain('Cannot read the seconds a boot may take: give a number from 30 to 7200')
    for (const kept of ['value="kept"', 'value="5"', '80 /kept', 'value="UEFI"  selected'])
      expect(page).toContain(kept)
  })

  it('do not let two operators overwrite each other’s launch settings unseen', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const cookie = await gateway.signIn()
    const address = `/servers/${sourceServerId}/launch-configuration`
    const version = async () =>
      /name="version" value="([0-9a-f]+)"/.exec(await (await get(address, cookie)).text())?.[1] ?? ''
    const form = {
      rightSizing: 'BASIC',
      bootMode: 'USE_SOURCE',
      launchDisposition: 'STARTED',
      bootTimeoutSeconds: '600',
      reachablePorts: '22',
      httpChecks: '',
    }
    const shown = await version()
    expect((await post(address, { ...form, name: 'first', version: shown }, cookie)).status).toBe(303)
    const late = await post(address, { ...form, name: 'second', version: shown }, cookie)
    const page = await late.text()
    expect(late.status).toBe(409)
    expect(page).toContain('Somebody else has changed these settings meanwhile')
    expect(page).toContain('value="second"')
    expect((await serverOf(gateway, sourceServerId)).launchConfiguration.name).toBe('first')
    expect((await post(address, { ...form, name: 'second', version: await version() }, cookie)).status).toBe(
      303,
    )
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
    expect((await post('/settings/api-tokens', { name: '', role: 'operator' }, cookie)).status).toBe(422)

    const token = await gateway.installationToken()
    const [id] = token.split('.')
    expect((await post(`/settings/installation-tokens/${id}/revoke`, {}, cookie)).status).toBe(303)
    expect(await (await get('/settings', cookie)).text()).toContain('revoked')
  })

  it('manage access keys', async () => {
    const cookie = await gateway.signIn()
    const form = { name: 'ci', role: 'operator', scopes: 'mgn:Describe*, mgn:StartTest', lifetimeDays: '30' }
    const made = await post('/settings/access-keys', form, cookie)
    const shown = await made.text()
    const [, id = '', secret = ''] =
      /AWS_ACCESS_KEY_ID=(RHAK[A-Z2-7]{16})\s+export AWS_SECRET_ACCESS_KEY=(rhsk_[\w-]{43})/.exec(shown) ?? []
    const stored = async () => (await gateway.store.get('accessKey', { id }))?.value
    expect(await stored()).toMatchObject({
      name: 'ci',
      role: 'operator',
      scopes: ['mgn:Describe*', 'mgn:StartTest'],
      createdBy: 'admin',
      expiresAt: '2026-03-31T12:00:00.000Z',
    })
    expect(gateway.services.secretBox.unseal((await stored())?.sealedSecret ?? '', id)).toBe(secret)
    const settings = async () => (await get('/settings', cookie)).text()
    expect(await settings()).not.toContain(secret)
    expect(await settings()).not.toContain((await stored())?.sealedSecret)
    expect(await settings()).toContain('mgn:Describe* mgn:StartTest')

    const disabled = await post(`/settings/access-keys/${id}/disable`, {}, cookie)
    expect([disabled.status, disabled.headers.get('location')]).toEqual([
      303,
      '/settings?done=access-key-disabled',
    ])
    expect((await stored())?.status).toBe('INACTIVE')
    expect(await settings()).toContain('disabled')
    expect(await settings()).not.toContain(`/settings/access-keys/${id}/disable"`)
    const enabled = await post(`/settings/access-keys/${id}/enable`, {}, cookie)
    expect(await (await get(enabled.headers.get('location') ?? '', cookie)).text()).toContain(
      'The access key is enabled again.',
    )
    expect((await stored())?.status).toBe('ACTIVE')
    gateway.pass(31 * 86_400_000)
    expect(await (await get('/settings', await gateway.signIn())).text()).toContain('expired')
    expect((await post(`/settings/access-keys/${id}/delete`, {}, await gateway.signIn())).status).toBe(303)
    expect(await stored()).toBeUndefined()
    const gone = await post(`/settings/access-keys/${id}/delete`, {}, await gateway.signIn())
    expect(gone.status).toBe(404)
  })

  it.each([
    [{ name: '' }, 'Give the key a name'],
    [{ role: 'root' }, 'Give the key a name of 1 to 64 characters, and a role'],
    [{ scopes: 'ec2:*' }, 'Name operations such as mgn:StartTest'],
    [{ scopes: ' ' }, 'Name operations such as mgn:StartTest'],
    [{ role: 'viewer', scopes: 'mgn:StartTest' }, 'mgn:StartTest needs operator; choose that role'],
    [{ lifetimeDays: 'soon' }, 'Give the key days to live, up to 3650'],
    [{ lifetimeDays: '-1' }, 'Give the key days to live, up to 3650'],
  ])('refuse the access key %j and say what to write', async (wrong, words) => {
    const form = { name: 'ci', role: 'operator', scopes: '*', lifetimeDays: '', ...wrong }
    const response = await post('/settings/access-keys', form, await gateway.signIn())
    expect(response.status).toBe(422)
    expect(await response.text()).toContain(words)
    expect((await gateway.store.list('accessKey')).items).toEqual([])
  })

  it('serve static files for ever and under no other name', async () => {
    const page = await (await get('/sign-in')).text()
    const css = /\/static\/app\.[0-9a-f]{12}\.css/.exec(page)?.[0] ?? ''
    const response = await get(css)
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(response.headers.get('content-type')).toBe('text/css; charset=utf-8')
    // Not for ever: the next release has another address.
    expect((await get('/favicon.ico')).status).toBe(302)
    for (const path of ['/static/app.css', '/static/..%2f..%2fpackage.json', '/static/x'])
      expect((await get(path)).status).toBe(404)
  })
})
