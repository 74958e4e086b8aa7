import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Job } from '../../../domain/job.ts'
import { defaultConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import { withSourceDisks } from '../../../domain/disk_changes.ts'
import type { ServerEvent, SourceServer } from '../../../domain/source_server.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { TestGateway } from './support.ts'
import { enrolServer, problemOf, putServer, serverOf } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

async function api(
  method: string,
  path: string,
  options: { role?: Role; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Response> {
  const token = await gateway.apiToken(options.role ?? 'admin')
  return gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...options.headers },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  })
}

async function readyServer(): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway)
  return putServer(gateway, sourceServerId, ({ activeTask: _done, ...server }) => ({
    ...server,
    lifecycle: { ...server.lifecycle, state: 'READY_FOR_TEST' },
    replication: { ...server.replication, state: 'CONTINUOUS' },
  }))
}

describe('/api/v1/servers/ID, disks and consistency points', () => {
  const added = { deviceName: '/dev/added', sizeBytes: 4096, stableId: 'added', isBootDisk: false }

  async function withOffer(): Promise<SourceServer> {
    const server = await readyServer()
    const disks = [...server.sourceProperties.disks, added]
    return putServer(gateway, server.sourceServerId, (current) => ({
      ...withSourceDisks(current, disks, gateway.now().toISOString()),
      replication: { ...current.replication, replicationServerId: 'i-00000000000000001' as never },
      disks: current.disks.map((disk) => ({ ...disk, volumeId: 'vol-1' as never, devicePath: '/v' })),
    }))
  }

  it('takes or refuses a disk that has appeared, for operators only', async () => {
    const { sourceServerId: id } = await withOffer()
    const body = { deviceName: '/dev/added', choice: 'TAKE' }
    expect((await api('POST', `/servers/${id}/disks`, { role: 'viewer', body })).status).toBe(403)
    expect((await api('POST', `/servers/${id}/disks`, { body: { ...body, choice: 'X' } })).status).toBe(400)
    const other = { ...body, deviceName: '/dev/other' }
    expect((await api('POST', `/servers/${id}/disks`, { body: other })).status).toBe(404)
    const refusal = await api('POST', `/servers/${id}/disks`, { body: { ...body, choice: 'REFUSE' } })
    expect(((await refusal.json()) as SourceServer).offeredDisks?.[0]?.refusedBy).toBeDefined()
    const taken = (await (await api('POST', `/servers/${id}/disks`, { body })).json()) as SourceServer
    expect(taken.disks.at(-1)).toMatchObject({ deviceName: '/dev/added', isJoining: true })
    expect(taken.activeTask?.kind).toBe('EXTEND')
  })

  it('sets how points are reached, and what is left out stays', async () => {
    const { sourceServerId: id } = await readyServer()
    const put = (body: unknown, role: Role = 'operator') =>
      api('PUT', `/servers/${id}/protection`, { role, body })
    expect((await put({ intervalMinutes: 30 }, 'viewer')).status).toBe(403)
    expect((await put({ intervalMinutes: -1 })).status).toBe(400)
    expect((await put({ maxFreezeMs: 60_001 })).status).toBe(400)
    expect((await put({ script: 'rm -rf /' })).status).toBe(400)
    await put({ intervalMinutes: 30, newDisks: 'TAKE' })
    const answer = await put({ onHookFailure: 'CRASH_CONSISTENT' })
    const server = (await answer.json()) as SourceServer
    expect(server.replicationConfiguration).toMatchObject({
      newDisks: 'TAKE',
      consistency: { ...defaultConsistencyPolicy, intervalMinutes: 30, onHookFailure: 'CRASH_CONSISTENT' },
    })
    const { items } = (await (await api('GET', `/servers/${id}/events`)).json()) as { items: ServerEvent[] }
    expect(items.filter(({ type }) => type === 'CONFIGURATION')).toHaveLength(2)
  })
})

describe('/api/v1', () => {
  it('asks for a token and does not take cookies', async () => {
    const server = await readyServer()
    const cookie = await gateway.signIn()
    for (const headers of [
      {},
      { cookie },
      { authorization: 'Bearer rehost_wrong' },
      { authorization: 'Basic x' },
    ]) {
      const response = await gateway.app.request(
        `/api/v1/servers/${server.sourceServerId}/actions/launch-test`,
        { method: 'POST', headers: headers as Record<string, string> },
      )
      expect(response.status).toBe(401)
      expect(response.headers.get('content-type')).toBe('application/problem+json')
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="rehost"')
      const { detail } = await problemOf(response)
      expect(detail).toMatch(
        'authorization' in headers ? /^This API token is not known/ : /^Send an API token/,
      )
    }
    expect((await serverOf(gateway, server.sourceServerId)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('stops guessing', async () => {
    const guess = () =>
      gateway.app.request('/api/v1/servers', { headers: { authorization: 'Bearer rehost_wrong' } })
    const statuses: number[] = []
    for (let attempt = 0; attempt < 6; attempt++) statuses.push((await guess()).status)
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429])
    expect((await api('GET', '/servers')).status).toBe(200)
  })

  it('lists and shows servers with live figures and endpoints', async () => {
    const server = await readyServer()
    const endpoints = [{ guestPort: 80, host: '127.0.0.1', port: 40_080 }]
    await putServer(gateway, server.sourceServerId, (known) => ({
      ...known,
      launchedInstance: {
        machineId: 'm-1' as never,
        imageId: 'img-1' as never,
        snapshotIds: [],
        jobId: 'mgnjob-1' as never,
        purpose: 'TEST',
        launchedAt: gateway.now().toISOString(),
        firstBoot: 'SUCCEEDED',
        endpoints,
      },
    }))
    const figures = {
      sourceServerId: server.sourceServerId,
      at: gateway.now().toISOString(),
      state: 'CONTINUOUS' as const,
      lagMs: 10,
      backlogBytes: 0,
      bytesPerSecond: 5,
      durableBytes: 0,
      wireBytes: 99,
      rescans: 0,
      disks: [],
    }
    gateway.telemetry.figures.set(server.sourceServerId, figures)
    gateway.pass(2000)
    const { items } = (await (await api('GET', '/servers')).json()) as { items: unknown[] }
    const one = await (await api('GET', `/servers/${server.sourceServerId}`)).json()
    expect(items).toEqual([one])
    // Events that wait to be relayed are a matter of the service; `/events` has them.
    for (const name of ['outbox', 'eventSequence']) expect(one).not.toHaveProperty(name)
    expect(one).toMatchObject({ sourceServerId: server.sourceServerId, telemetry: figures, endpoints })
    expect((await api('GET', '/servers/s-00000000000000009')).status).toBe(404)
    expect((await api('GET', '/servers?archived=perhaps')).status).toBe(400)
  })

  it('does what the pages do, and refuses with the same reasons', async () => {
    const { sourceServerId: id } = await readyServer()
    const actions = (await (await api('GET', `/servers/${id}/actions`)).json()) as {
      items: { action: string; possible: boolean; because?: string }[]
    }
    expect(actions.items.find(({ action }) => action === 'launch-test')?.possible).toBe(true)
    const refused = await api('POST', `/servers/${id}/actions/finalize`)
    expect(refused.status).toBe(409)
    const { detail } = (await refused.json()) as { detail: string }
    expect(detail).toContain(actions.items.find(({ action }) => action === 'finalize')?.because)
    const launched = await api('POST', `/servers/${id}/actions/launch-test`)
    const server = (await launched.json()) as SourceServer
    expect([launched.status, server.lifecycle.state]).toEqual([200, 'TESTING'])
    const { items } = (await (await api('GET', '/jobs')).json()) as { items: Job[] }
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({ jobId: server.activeTask?.jobId, actor: 'token test admin' })
    const tasks = (await (await api('GET', `/jobs/${items[0]?.jobId}/tasks`)).json()) as {
      items: { kind: string }[]
    }
    expect(tasks.items.map(({ kind }) => kind)).toEqual(['LAUNCH'])
    expect(await (await api('GET', `/jobs/${items[0]?.jobId}/log`)).json()).toEqual({ items: [] })
    const events = (await (await api('GET', `/servers/${id}/events?limit=2`)).json()) as {
      items: { sequence: number }[]
      nextToken?: string
    }
    const { eventSequence } = await serverOf(gateway, id)
    expect(events.items.map(({ sequence }) => sequence)).toEqual([eventSequence, eventSequence - 1])
    const rest: number[] = []
    for (let token: string | undefined = events.nextToken; token !== undefined;) {
      const next = (await (await api('GET', `/servers/${id}/events?limit=2&nextToken=${token}`)).json()) as {
        items: { sequence: number }[]
        nextToken?: string
      }
      rest.push(...next.items.map(({ sequence }) => sequence))
      token = next.nextToken
    }
    expect(rest).toEqual(Array.from({ length: eventSequence - 2 }, (_, at) => eventSequence - 2 - at))
    for (const token of ['', '0', 'x', '1.5'])
      expect((await api('GET', `/servers/${id}/events?nextToken=${token}`)).status).toBe(400)
    expect((await api('POST', `/servers/${id}/actions/explode`)).status).toBe(404)
  })

  it('gives what a launch left, and nothing else from the disk', async () => {
    const { sourceServerId: id } = await readyServer()
    const { activeTask } = (await (
      await api('POST', `/servers/${id}/actions/launch-test`)
    ).json()) as SourceServer
    const jobId = String(activeTask?.jobId)
    const folder = join(gateway.folder, 'artefacts', jobId, id)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'serial.log'), 'login:')
    const file = await api('GET', `/jobs/${jobId}/servers/${id}/serial.log`)
    expect([file.status, await file.text(), file.headers.get('content-type')]).toEqual([
      200,
      'login:',
      'text/plain; charset=utf-8',
    ])
    for (const path of ['screenshot.png', '..%2f..%2fca%2fca.key.pem', 'x', '.serial.log']) {
      expect((await api('GET', `/jobs/${jobId}/servers/${id}/${path}`)).status).toBe(404)
    }
    expect((await api('GET', `/jobs/${jobId}/servers/..%2f..%2fca/serial.log`)).status).toBe(404)
  })

  it('changes launch configurations, strictly', async () => {
    const { sourceServerId: id } = await readyServer()
    const put = (body: unknown, role: Role = 'operator') =>
      api('PUT', `/servers/${id}/launch-configuration`, { body, role })
    const changed = await put({ httpChecks: [{ port: 80, path: '/', contains: 'ok' }], reachablePorts: [22] })
    expect(((await changed.json()) as SourceServer).launchConfiguration).toMatchObject({
      httpChecks: [{ port: 80, path: '/', contains: 'ok' }],
      reachablePorts: [22, 80],
      name: 'web-1',
    })
    for (const body of [
      { nonsense: 1 },
      { httpChecks: [{ port: 0, path: '/' }] },
      { httpChecks: [{ port: 80, path: 'x' }] },
      { bootMode: 'x' },
    ]) {
      expect((await put(body)).status).toBe(400)
    }
    expect((await put({}, 'viewer')).status).toBe(403)
    expect(
      (
        await api('PUT', `/servers/${id}/launch-configuration`, {
          headers: { 'content-type': 'text/plain' },
          body: {},
        })
      ).status,
    ).toBe(415)
  })

  it('makes, lists and revokes installation tokens', async () => {
    const made = await api('POST', '/tokens', { body: { uses: 3 }, role: 'operator' })
    expect(made.status).toBe(201)
    const token = (await made.json()) as {
      tokenId: string
      token: string
      expiresAt: string
      installCommand: string
      secretSha256?: string
    }
    expect(token.installCommand).toContain(`--token ${token.token}`)
    expect(token.secretSha256).toBeUndefined()
    expect(token.expiresAt).toBe('2026-03-01T13:00:00.000Z')
    const listed = await (await api('GET', '/tokens')).text()
    expect(listed).toContain(token.tokenId)
    expect(listed).not.toContain(token.token.split('.')[1])
    expect(listed).not.toContain('secretSha256')
    expect((await api('DELETE', `/tokens/${token.tokenId}`)).status).toBe(204)
    expect((await gateway.store.get('token', { id: token.tokenId }))?.value.usesLeft).toBe(0)
    expect((await api('DELETE', '/tokens/x')).status).toBe(404)
    expect((await api('POST', '/tokens', { role: 'viewer' })).status).toBe(403)
    expect((await api('POST', '/tokens', { body: { uses: 0 } })).status).toBe(400)
  })

  it('makes, lists, disables, enables and deletes access keys, for administrators', async () => {
    const body = { name: 'terraform', role: 'viewer', scopes: ['mgn:Describe*'], lifetimeDays: 2 }
    const made = await api('POST', '/access-keys', { body })
    expect(made.status).toBe(201)
    const { secretAccessKey, ...key } = (await made.json()) as {
      accessKeyId: string
      secretAccessKey: string
    }
    expect(secretAccessKey).toMatch(/^rhsk_/)
    const { accessKeyId } = key
    expect(key).toEqual({
      accessKeyId,
      name: 'terraform',
      role: 'viewer',
      scopes: ['mgn:Describe*'],
      status: 'ACTIVE',
      createdAt: '2026-03-01T12:00:00.000Z',
      createdBy: 'token test admin',
      expiresAt: '2026-03-03T12:00:00.000Z',
    })
    const list = async () => (await api('GET', '/access-keys')).json()
    expect(await list()).toEqual({ items: [key] })
    const path = `/access-keys/${accessKeyId}`
    const disabled = await api('PUT', `${path}/status`, { body: { status: 'INACTIVE' } })
    expect([disabled.status, await disabled.json()]).toEqual([200, { ...key, status: 'INACTIVE' }])
    expect(await list()).toEqual({ items: [{ ...key, status: 'INACTIVE' }] })
    await api('PUT', `${path}/status`, { body: { status: 'ACTIVE' } })
    expect(await list()).toEqual({ items: [key] })
    expect((await api('DELETE', path)).status).toBe(204)
    expect(await list()).toEqual({ items: [] })
    for (const response of [
      await api('DELETE', path),
      await api('PUT', `${path}/status`, { body: { status: 'ACTIVE' } }),
    ]) {
      expect(response.status).toBe(404)
      expect(await response.text()).toContain(`Cannot find access key ${accessKeyId}`)
    }
  })

  it.each([
    [{ role: 'viewer' }, 'name'],
    [{ name: ' ', role: 'viewer' }, 'name'],
    [{ name: 'x', role: 'root' }, 'role'],
    [{ name: 'x', role: 'viewer', scopes: [] }, 'scopes'],
    [{ name: 'x', role: 'viewer', scopes: ['mgn:*', 'ec2:*'] }, 'scopes.1'],
    [{ name: 'x', role: 'viewer', lifetimeDays: 0 }, 'lifetimeDays'],
    [{ name: 'x', role: 'viewer', lifetimeDays: 3651 }, 'lifetimeDays'],
    [{ name: 'x', role: 'viewer', status: 'ACTIVE' }, 'the request'],
  ])('refuses the access key %j and names the field', async (body, field) => {
    const response = await api('POST', '/access-keys', { body })
    expect(response.status).toBe(400)
    expect(((await response.json()) as { detail: string }).detail).toContain(`Cannot read ${field}: `)
    expect((await gateway.store.list('accessKey')).items).toEqual([])
  })

  it.each([
    [
      'viewer',
      ['mgn:Start*', 'mgn:StopReplication'],
      /its role is viewer, and mgn:StartTest needs operator;/,
    ],
    ['operator', ['mgn:initializeservice'], /its role is operator, and mgn:InitializeService needs admin;/],
    ['admin', ['mgn:StartTests', 'mgn:Run*'], /no operation is named mgn:StartTests or mgn:Run\*;/],
  ])('refuses an access key that could call nothing: %s %j', async (role, scopes, reason) => {
    const refused = await api('POST', '/access-keys', { body: { name: 'x', role, scopes } })
    expect(refused.status).toBe(422)
    expect(((await refused.json()) as { detail: string }).detail).toMatch(reason)
    expect((await gateway.store.list('accessKey')).items).toEqual([])
    // One that could call something is no mistake.
    const some = { name: 'x', role, scopes: [...scopes, 'mgn:List*'] }
    expect((await api('POST', '/access-keys', { body: some })).status).toBe(201)
  })

  it.each(['viewer', 'operator'] as const)('shows no access key to a token of the role %s', async (role) => {
    const calls = [
      api('GET', '/access-keys', { role }),
      api('POST', '/access-keys', { role, body: { name: 'x', role: 'viewer' } }),
      api('PUT', '/access-keys/RHAKAAAAAAAAAAAAAAAA/status', { role, body: { status: 'ACTIVE' } }),
      api('DELETE', '/access-keys/RHAKAAAAAAAAAAAAAAAA', { role }),
    ]
    for (const response of await Promise.all(calls)) {
      expect(response.status).toBe(403)
      expect(await response.text()).toContain('This needs the role admin')
    }
  })

  it('keeps viewers from acting', async () => {
    const { sourceServerId: id } = await readyServer()
    expect((await api('GET', `/servers/${id}`, { role: 'viewer' })).status).toBe(200)
    expect((await api('POST', `/servers/${id}/actions/launch-test`, { role: 'viewer' })).status).toBe(403)
  })

  it('answers the unknown with a problem', async () => {
    const response = await api('GET', '/nothing')
    expect([response.status, ((await response.json()) as { detail: string }).detail]).toEqual([
      404,
      'There is nothing at GET /api/v1/nothing',
    ])
  })
})

describe('a body that is too large', () => {
  it('is refused as problems are, though the API never sees it', async () => {
    const refused = await api('POST', '/webhooks', {
      body: {},
      headers: { 'content-length': String(300 * 1024) },
    })
    expect([refused.status, refused.headers.get('content-type')]).toEqual([413, 'application/problem+json'])
    expect(await refused.json()).toMatchObject({
      type: 'urn:rehost:problem:invalid-input',
      status: 413,
      detail: 'The body is larger than 262144 bytes',
    })
  })
})
