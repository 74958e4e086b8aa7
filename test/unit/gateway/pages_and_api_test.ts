import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describedCalls } from '../../../gateway/api/openapi.ts'
import { createMgnApp } from '../../../gateway/mgn/mgn_app.ts'
import { operations } from '../../../gateway/mgn/operations.ts'
import type { TestGateway } from './support.ts'
import { projectRoot, testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

/** What a browser has that a program needs not: it shows its token with each call. */
const ofBrowsers = 'a browser’s own'

/**
 * Each action of a page, and the calls of `/api/v1` (`PUT /bandwidth`) or of MGN (`mgn:StartTest`) that do the same. Whoever adds a page that
 * changes something adds the call too: programs must not have to pretend that they are browsers.
 */
const counterparts: Record<string, string[] | typeof ofBrowsers> = {
  'POST /sign-in': ofBrowsers,
  'POST /sign-out': ofBrowsers,
  'POST /servers/add': ['POST /tokens'],
  'POST /servers/:id/actions/:action': ['POST /servers/:id/actions/:action'],
  'POST /servers/:id/disks': ['POST /servers/:id/disks'],
  'POST /servers/:id/protection': ['PUT /servers/:id/protection'],
  'POST /servers/:id/launch-configuration': ['PUT /servers/:id/launch-configuration'],
  'POST /servers/:id/replication-configuration': ['PUT /servers/:id/replication-configuration'],
  'POST /settings/bandwidth': ['PUT /bandwidth'],
  'POST /settings/installation-tokens/:id/revoke': ['DELETE /tokens/:id'],
  'POST /settings/api-tokens': ['POST /api-tokens'],
  'POST /settings/api-tokens/:sha256/revoke': ['DELETE /api-tokens/:id'],
  'POST /settings/access-keys': ['POST /access-keys'],
  'POST /settings/access-keys/:id/disable': ['PUT /access-keys/:id/status'],
  'POST /settings/access-keys/:id/enable': ['PUT /access-keys/:id/status'],
  'POST /settings/access-keys/:id/delete': ['DELETE /access-keys/:id'],
  'POST /settings/parameters': ['PUT /parameters/:name'],
  'POST /settings/parameters/:name/delete': ['DELETE /parameters/:name'],
  'POST /settings/webhooks': ['POST /webhooks'],
  'POST /settings/webhooks/:id': ['PUT /webhooks/:id'],
  'POST /settings/webhooks/:id/test': ['POST /webhooks/:id/test'],
  'POST /settings/webhooks/:id/enable': ['PUT /webhooks/:id'],
  'POST /settings/webhooks/:id/disable': ['PUT /webhooks/:id'],
  'POST /settings/webhooks/:id/rotate-secret': ['POST /webhooks/:id/rotate-secret'],
  'POST /settings/webhooks/:id/delete': ['DELETE /webhooks/:id'],
  'POST /settings/webhooks/:id/deliveries/:delivery/redeliver': [
    'POST /webhooks/:id/deliveries/:delivery/redeliver',
  ],
}

describe('the dashboard', () => {
  it('does nothing that the APIs cannot', () => {
    const ofMgn = new Set(
      createMgnApp(gateway.services).routes.map(({ method, path }) => `${method} ${path}`),
    )
    const actions = gateway.app.routes
      .filter(({ method, path }) => !['GET', 'ALL'].includes(method) && !path.startsWith('/api/v1/'))
      .map(({ method, path }) => `${method} ${path}`)
      .filter((action) => !ofMgn.has(action))
    expect(new Set(actions)).toEqual(new Set(Object.keys(counterparts)))
    const calls = new Set([
      ...describedCalls.map(({ method, path }) => `${method.toUpperCase()} ${path}`),
      ...operations.map(({ name }) => `mgn:${name}`),
    ])
    for (const wanted of Object.values(counterparts))
      for (const call of wanted === ofBrowsers ? [] : wanted) expect(calls).toContain(call)
  })
})

describe('the command line', () => {
  it('reaches the service by its API alone', async () => {
    const folder = join(projectRoot, 'bin/commands')
    const foreign: string[] = []
    for (const file of await readdir(folder)) {
      const source = await readFile(join(folder, file), 'utf8')
      const rooms = [...source.matchAll(/from '\.\.\/\.\.\/(\w+)\//g)].map(([, room]) => room)
      const behind = rooms.filter((room) => ['store', 'queues', 'gateway', 'workers'].includes(room ?? ''))
      foreign.push(...behind.map((room) => `${file}: ${room}`))
    }
    expect(foreign).toEqual([])
  })
})

describe('/api/v1, where only pages could', () => {
  const api = async (method: string, path: string, body?: unknown, role: 'viewer' | 'admin' = 'admin') =>
    gateway.app.request(`/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await gateway.apiToken(role)}`,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })

  it('makes, lists and revokes API tokens', async () => {
    const made = await api('POST', '/api-tokens', { name: 'ci', role: 'viewer' })
    expect(made.status).toBe(201)
    const { token, tokenSha256 } = (await made.json()) as { token: string; tokenSha256: string }
    const ask = () =>
      gateway.app.request('/api/v1/bandwidth', { headers: { authorization: `Bearer ${token}` } })
    expect((await ask()).status).toBe(200)
    const listed = await (await api('GET', '/api-tokens')).text()
    expect(JSON.parse(listed)).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ tokenSha256, name: 'ci', role: 'viewer' })]),
    })
    expect(listed).not.toContain(token)
    expect((await api('DELETE', `/api-tokens/${tokenSha256}`)).status).toBe(204)
    expect((await ask()).status).toBe(401)
    expect((await api('DELETE', `/api-tokens/${tokenSha256}`)).status).toBe(404)
    for (const body of [{ name: 'ci' }, { name: '', role: 'viewer' }, { name: 'ci', role: 'viewer', x: 1 }])
      expect((await api('POST', '/api-tokens', body)).status).toBe(400)
  })

  it('tells what agents are told, and who was refused', async () => {
    expect(await (await api('GET', '/installation', undefined, 'viewer')).json()).toEqual(
      gateway.services.installation,
    )
    gateway.services.refusals.note('ENROLMENT', { address: '192.0.2.7' }, 'The token is wrong')
    const { items } = (await (await api('GET', '/installation/refused-calls')).json()) as { items: unknown[] }
    expect(items[0]).toMatchObject({ address: '192.0.2.7', detail: 'The token is wrong' })
  })
})
