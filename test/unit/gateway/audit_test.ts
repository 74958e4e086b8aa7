import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../../domain/audit.ts'
import { ChainCheck } from '../../../domain/audit.ts'
import { AuditLog } from '../../../gateway/audit_log.ts'
import { ensureAdmin } from '../../../gateway/people/accounts.ts'
import { listAll } from '../../../store/listing.ts'
import { enrolServer, postForm } from './callers.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const entries = (): Promise<AuditEntry[]> => listAll(gateway.store, 'auditEntry')

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function brokenIn(list: readonly AuditEntry[]): string | undefined {
  const check = new ChainCheck(hashOf)
  for (const entry of list) {
    const broken = check.next(entry)
    if (broken !== undefined) return `${broken.sequence}: ${broken.reason}`
  }
  return undefined
}

async function api(method: string, path: string, token: string, body?: unknown): Promise<Response> {
  return gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

describe('the audit log', () => {
  it('has every call that may change something, and whether it was refused; looking is not in it', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const [admin, viewer] = [await gateway.apiToken('admin'), await gateway.apiToken('viewer')]
    await api('GET', '/servers', admin)
    await api('POST', '/tokens', admin, { uses: 2 })
    expect((await api('POST', `/servers/${sourceServerId}/actions/pause`, viewer)).status).toBe(403)
    await api('POST', '/tokens', 'rehost_wrong')
    const cookie = await gateway.signIn('operator')
    await postForm(gateway, `/servers/${sourceServerId}/actions/pause`, {}, cookie)
    const log = await entries()
    expect(
      log.map(({ actor, via, action, outcome, status }) => [actor, via, action, outcome, status]),
    ).toEqual([
      ['token test admin', 'API', 'POST /api/v1/tokens', 'ASKED', undefined],
      [
        'token test viewer',
        'API',
        `POST /api/v1/servers/${sourceServerId}/actions/pause`,
        'ASKED',
        undefined,
      ],
      ['token test viewer', 'API', `POST /api/v1/servers/${sourceServerId}/actions/pause`, 'REFUSED', 403],
      ['operator', 'PAGE', `POST /servers/${sourceServerId}/actions/pause`, 'ASKED', undefined],
    ])
    expect(log.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4])
    expect(brokenIn(log)).toBeUndefined()
    expect(JSON.stringify(log)).not.toContain('rehost_')
  })

  it('has who signed in and out, and not what somebody entered who is nobody', async () => {
    const preset = 'a long enough password'
    await ensureAdmin(gateway.store, join(gateway.folder, 'first-sign-in'), { preset, ...gateway.services })
    const signIn = (userName: string, password: string) =>
      postForm(gateway, '/sign-in', { userName, password }, '')
    await signIn('admin', 'wrong')
    await signIn('hunter2-my-password', '')
    const cookie = (await signIn('admin', preset)).headers.get('set-cookie')?.split(';', 1)[0] ?? ''
    await postForm(gateway, '/sign-out', {}, cookie)
    await postForm(gateway, '/sign-out', {}, cookie)
    expect((await entries()).map(({ actor, action, outcome }) => [actor, action, outcome])).toEqual([
      ['admin', 'SIGN_IN', 'REFUSED'],
      ['nobody known', 'SIGN_IN', 'REFUSED'],
      ['admin', 'SIGN_IN', 'ASKED'],
      ['admin', 'SIGN_OUT', 'ASKED'],
    ])
  })

  it('is written before anything is done, and without it nothing is', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const token = await gateway.apiToken('operator')
    gateway.services.audit.append = () => Promise.reject(new Error('The store is away'))
    expect((await api('POST', `/servers/${sourceServerId}/actions/pause`, token)).status).toBe(500)
    expect((await gateway.store.get('server', { id: sourceServerId }))?.value.agent.desired).toBe('REPLICATE')
  })

  it('stays one chain when several gateways write it at the same time', async () => {
    const logs = Array.from({ length: 4 }, () => new AuditLog(gateway.store, gateway.now))
    const fact = { via: 'API', action: 'POST /x', address: '192.0.2.1', outcome: 'ASKED' } as const
    await Promise.all(
      logs.flatMap((log, index) =>
        Array.from({ length: 25 }, () => log.append({ ...fact, actor: `${index}` })),
      ),
    )
    const all = await entries()
    expect(all).toHaveLength(100)
    expect(brokenIn(all)).toBeUndefined()
  })

  it('tells what was changed, taken out, put in or cut off', async () => {
    const fact = { via: 'API', address: '192.0.2.1', outcome: 'ASKED', actor: 'anna' } as const
    for (const action of ['one', 'two', 'three', 'four'])
      await gateway.services.audit.append({ ...fact, action })
    const [one, two, three, four] = (await entries()) as [AuditEntry, AuditEntry, AuditEntry, AuditEntry]
    expect(brokenIn([one, two, three, four])).toBeUndefined()
    expect(brokenIn([one, { ...two, actor: 'berta' }, three])).toBe(
      '2: it was changed: its hash is not of what it says',
    )
    expect(brokenIn([one, three, four])).toBe('2: entry 2 is missing: 3 comes instead')
    expect(brokenIn([one, two, { ...two, sequence: 3 }])).toBe('3: it does not continue the entry before it')
    const forged = { ...two, actor: 'berta' }
    const { hash: _old, ...bare } = forged
    const resealed = { ...forged, hash: hashOf(JSON.stringify(bare)) }
    expect(brokenIn([one, resealed, three])).toMatch(/^2: it was changed/)
  })

  it('is read page by page and as a file, by admins alone', async () => {
    const fact = { via: 'API', address: '192.0.2.1', outcome: 'ASKED', actor: 'anna' } as const
    for (let count = 0; count < 7; count++)
      await gateway.services.audit.append({ ...fact, action: `POST /${count}` })
    const admin = await gateway.apiToken('admin')
    const page = async (query: string) =>
      (await (await api('GET', `/audit${query}`, admin)).json()) as {
        items: AuditEntry[]
        nextToken?: string
      }
    const first = await page('?limit=5')
    expect([first.items.length, first.nextToken]).toEqual([5, '5'])
    const rest = await page('?limit=5&nextToken=5')
    expect(rest.items.map(({ sequence }) => sequence)).toEqual([6, 7])
    expect(rest).not.toHaveProperty('nextToken')
    expect((await page('?limit=1&nextToken=0')).items.map(({ sequence }) => sequence)).toEqual([1])
    // An empty one would begin again, without an end.
    for (const token of ['', 'x', '1e1', '-1', '1.5'])
      expect((await api('GET', `/audit?nextToken=${token}`, admin)).status, token).toBe(400)
    const file = await (await api('GET', '/audit/export', admin)).text()
    const lines = file.trimEnd().split('\n')
    expect(brokenIn(lines.map((line) => JSON.parse(line) as AuditEntry))).toBeUndefined()
    expect(lines).toHaveLength(7)
    const operator = await gateway.apiToken('operator')
    expect((await api('GET', '/audit', operator)).status).toBe(403)
    expect((await api('GET', '/audit/export', operator)).status).toBe(403)
  })
})
