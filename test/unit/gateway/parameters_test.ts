import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { maxParameterBytes, sealNameOf } from '../../../domain/parameter.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { PostLaunchAction } from '../../../domain/post_launch_action.ts'
import { enrolServer, postForm, putServer } from './callers.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

async function call(
  method: string,
  path: string,
  body?: unknown,
  role: Role = 'operator',
): Promise<{ status: number; text: string; json: Record<string, unknown> }> {
  const response = await gateway.app.request(`/api/v1/parameters${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await gateway.apiToken(role)}`,
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, text, json: text === '' ? {} : JSON.parse(text) }
}

const secret = 'echo hunter2 | passwd'

describe('/api/v1/parameters', () => {
  it('keeps values sealed, lists their names, and tells a value to administrators alone', async () => {
    const put = await call('PUT', '/set.up-1', { value: secret })
    expect(put.status).toBe(200)
    const open = {
      name: 'set.up-1',
      changedAt: '2026-03-01T12:00:00.000Z',
      changedBy: 'token test operator',
    }
    expect(put.json).toEqual(open)
    const stored = (await gateway.store.get('parameter', { id: 'set.up-1' }))?.value
    expect(JSON.stringify(stored)).not.toContain('hunter2')
    expect(gateway.services.secretBox.unseal(stored?.sealedValue ?? '', sealNameOf('set.up-1'))).toBe(secret)
    const list = await call('GET', '')
    expect(list.json).toEqual({ items: [open] })
    expect((await call('GET', '/set.up-1')).status).toBe(403)
    expect((await call('GET', '/set.up-1', undefined, 'admin')).json).toEqual({ ...open, value: secret })
    expect((await call('GET', '', undefined, 'viewer')).status).toBe(403)
    await call('PUT', '/set.up-1', { value: 'other' })
    expect((await call('GET', '/set.up-1', undefined, 'admin')).json).toMatchObject({ value: 'other' })
    expect((await call('DELETE', '/set.up-1')).status).toBe(204)
    expect((await call('DELETE', '/set.up-1')).status).toBe(404)
    expect((await call('GET', '/set.up-1', undefined, 'admin')).status).toBe(404)
    expect(gateway.logged.join()).not.toContain('hunter2')
  })

  it.each([
    ['/a%20b', { value: 'x' }, /letters, digits/],
    ['/a', { value: '' }, /./],
    ['/a', {}, /value/],
    ['/a', { value: 'a\0b' }, /null character/],
    ['/a', { value: 'é'.repeat(maxParameterBytes / 2 + 1) }, /16384 bytes/],
    ['/a', { value: 'x', more: 1 }, /more/],
  ])('refuses what cannot be kept: %#', async (path, body, words) => {
    const refused = await call('PUT', path, body)
    expect([400, 422]).toContain(refused.status)
    expect(refused.text).toMatch(words)
    expect((await gateway.store.list('parameter')).items).toEqual([])
  })
})

describe('the settings page', () => {
  const post = async (path: string, fields: Record<string, string>, role: Role = 'operator') =>
    gateway.app.request(path, {
      method: 'POST',
      headers: {
        cookie: await gateway.signIn(role),
        origin: 'http://localhost',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams(fields).toString(),
    })
  const page = async (role: Role = 'operator') =>
    (await gateway.app.request('/settings', { headers: { cookie: await gateway.signIn(role) } })).text()

  it('keeps a script with plain line ends, shows its name and never the value, and forgets it', async () => {
    const kept = await post('/settings/parameters', { name: ' set-up ', value: 'echo hunter2\r\ntrue' })
    expect([kept.status, kept.headers.get('location')]).toEqual([303, '/settings?done=parameter-kept'])
    expect((await call('GET', '/set-up', undefined, 'admin')).json).toMatchObject({
      value: 'echo hunter2\ntrue',
      changedBy: 'operator',
    })
    const shown = await page()
    expect(shown).toContain('set-up')
    expect(shown).not.toContain('hunter2')
    expect(await page('viewer')).not.toContain('set-up')
    const wrong = await post('/settings/parameters', { name: 'a b', value: 'x' })
    expect(wrong.status).toBe(422)
    expect(await wrong.text()).toContain('letters, digits')
    expect((await post('/settings/parameters', { name: 'a', value: 'x' }, 'viewer')).status).toBe(403)
    expect((await post('/settings/parameters/set-up/delete', {})).status).toBe(303)
    expect((await gateway.store.list('parameter')).items).toEqual([])
  })
})

describe('a parameter that post-launch actions take', () => {
  const action = (actionName: string, parameterName: string): PostLaunchAction => ({
    actionID: actionName,
    actionName,
    documentIdentifier: 'AWS-RunShellScript',
    documentVersion: '$DEFAULT',
    order: 1001,
    active: true,
    timeoutSeconds: 60,
    mustSucceedForCutover: false,
    parameters: { commands: [{ parameterType: 'STRING', parameterName }] },
  })

  it('is deleted by force alone, and says which actions take it', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    for (const name of ['set-up', 'other']) await call('PUT', `/${name}`, { value: 'true' })
    await putServer(gateway, id, (server) => ({
      ...server,
      postLaunch: { actions: [action('check', 'set-up')] },
      launchConfiguration: {
        ...server.launchConfiguration,
        postLaunchActions: {
          ssmDocuments: [{ ...action('first', 'set-up'), ssmDocumentName: 'AWS-RunShellScript' }],
        },
      },
    }))
    const detail =
      `The parameter set-up is taken by post-launch actions, which would fail without it: “first” of server ${id}, “check” of server ${id}. ` +
      'Change or remove them first, or delete it all the same by force'
    const refused = await call('DELETE', '/set-up')
    expect([refused.status, refused.json['detail']]).toEqual([409, detail])
    expect((await call('DELETE', '/set-up?force=perhaps')).status).toBe(400)
    expect((await call('DELETE', '/other')).status).toBe(204)

    const cookie = await gateway.signIn()
    const page = await postForm(gateway, '/settings/parameters/set-up/delete', {}, cookie)
    expect(page.status).toBe(409)
    const text = await page.text()
    expect(text).toContain(`“check” of server ${id}`)
    expect(text).toContain('Delete set-up all the same')
    const forced = await postForm(gateway, '/settings/parameters/set-up/delete', { force: 'true' }, cookie)
    expect(forced.status).toBe(303)
    expect((await call('GET', '')).json).toEqual({ items: [] })

    await call('PUT', '/set-up', { value: 'true' })
    expect((await call('DELETE', '/set-up?force=true')).status).toBe(204)
  })

  it('may be deleted when only an archived server has them', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await call('PUT', '/set-up', { value: 'true' })
    await putServer(gateway, id, (server) => ({
      ...server,
      isArchived: true,
      postLaunch: { actions: [action('check', 'set-up')] },
    }))
    expect((await call('DELETE', '/set-up')).status).toBe(204)
  })
})
