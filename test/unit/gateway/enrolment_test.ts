import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TestGateway } from './support.ts'
import { createAgentApp } from '../../../gateway/agent_app.ts'
import { Fleet } from '../../../gateway/fleet.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { newInstallationToken } from '../../../domain/installation_token.ts'
import { RevisionConflictError } from '../../../store/store.ts'
import { revokeInstallationToken } from '../../../gateway/people/installation_tokens.ts'
import { agentUri, enrolledSchema } from '../../../wire/control_api.ts'
import { callAgentPort, enrolServer, enrolment, inventory, peerOf, problemOf, serverOf } from './callers.ts'
import { LocalChanges } from './doubles.ts'
import { refusalsIn, testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const call = (path: string, body: unknown) => callAgentPort(gateway, path, body)

describe('POST /agent/v1/enrol', () => {
  it('makes a server, a certificate bound to it, and the work that raises its staging area', async () => {
    const response = await call(
      '/agent/v1/enrol',
      await enrolment(gateway, { tags: { env: 'test' }, userProvidedId: 'cmdb-7' }),
    )
    expect(response.status).toBe(200)
    const enrolled = enrolledSchema.parse(await response.json())
    const server = await serverOf(gateway, enrolled.subjectId)
    const peer = peerOf(enrolled.certificatePem)
    expect(peer.uris).toEqual([agentUri(server.sourceServerId)])
    expect(server).toMatchObject({
      userProvidedId: 'cmdb-7',
      tags: { env: 'test' },
      lifecycle: { state: 'NOT_READY' },
      agent: { certificateSerial: peer.serial, generation: 0, desired: 'REPLICATE' },
      activeTask: { kind: 'STAGING' },
    })
    expect(server.disks.map(({ deviceName, diskIndex }) => [deviceName, diskIndex])).toEqual([
      ['/dev/sda', 0],
    ])
    expect(server.outbox.map(({ message }) => message)).toContain(
      'Disk /dev/sr0 is left out: It is removable',
    )
    expect(gateway.wakeUps.added).toEqual([{ queue: 'staging', taskId: server.activeTask?.taskId }])
    expect((await gateway.store.get('task', { id: String(server.activeTask?.taskId) }))?.value.status).toBe(
      'PENDING',
    )
  })

  it.each([
    [
      'a wrong token',
      { token: `tok-00000000000000001.${'0'.repeat(64)}` },
      401,
      /The installation token is wrong/,
    ],
    ['no token at all', { token: 'xxxxxxxxxx' }, 401, /The installation token is wrong/],
    ['a bad request for a certificate', { csrPem: 'hello' }, 422, /Cannot read the certificate request/],
    [
      'only disks that are left out',
      {
        sourceProperties: inventory('x', {
          disks: [
            {
              deviceName: '/dev/sr0',
              sizeBytes: 1,
              stableId: 'cd',
              isBootDisk: false,
              excludedBecause: 'It is removable',
            },
          ],
        }),
      },
      422,
      /No disk to replicate: \/dev\/sr0: It is removable/,
    ],
    [
      'too many disks',
      {
        sourceProperties: inventory('x', {
          disks: Array.from({ length: 61 }, (_, n) => ({
            deviceName: `/dev/x${n}`,
            sizeBytes: 512,
            stableId: String(n),
            isBootDisk: n === 0,
          })),
        }),
      },
      422,
      /at most 60/,
    ],
    [
      'an inventory of another form',
      { sourceProperties: { hostname: 'x' } },
      400,
      /Cannot read sourceProperties/,
    ],
  ])('refuses %s and keeps the token', async (_name, overrides, status, expected) => {
    const token = await gateway.installationToken()
    const response = await call('/agent/v1/enrol', await enrolment(gateway, { token, ...overrides }))
    expect(response.status).toBe(status)
    expect((await problemOf(response)).detail).toMatch(expected)
    expect((await gateway.store.list('server')).items).toEqual([])
    expect((await gateway.store.get('token', { id: token.split('.')[0] ?? '' }))?.value.usesLeft).toBe(1)
  })

  it('refuses a used, an expired, a revoked token and one for replication servers, each in its own words', async () => {
    const used = await gateway.installationToken()
    expect((await call('/agent/v1/enrol', await enrolment(gateway, { token: used }))).status).toBe(200)
    const again = await call(
      '/agent/v1/enrol',
      await enrolment(gateway, { token: used, sourceProperties: inventory('other-host') }),
    )
    expect([again.status, (await problemOf(again)).detail]).toEqual([
      403,
      expect.stringMatching(/was used already by s-.*make another one/),
    ])

    const expired = await gateway.installationToken(1, 60_000)
    gateway.pass(60_001)
    const late = await call('/agent/v1/enrol', await enrolment(gateway, { token: expired }))
    expect([late.status, (await problemOf(late)).detail]).toEqual([
      403,
      expect.stringContaining('expired at 2026-03-01T12:01:00.000Z'),
    ])

    const at = gateway.now().toISOString()
    const { token, record } = await newInstallationToken(
      { purpose: 'REPLICATOR', createdBy: 'x', at, uses: 1, lifetimeMs: 60_000 },
      (n) => new Uint8Array(n),
    )
    await gateway.store.create('token', { id: record.tokenId }, record)
    const other = await call('/agent/v1/enrol', await enrolment(gateway, { token }))
    expect([other.status, (await problemOf(other)).detail]).toEqual([
      403,
      expect.stringContaining('is not meant for this'),
    ])
  })

  it('gives the last use of a token to one of a hundred racers', async () => {
    for (const uses of [1, 7]) {
      const token = await gateway.installationToken(uses)
      const bodies = await Promise.all(
        Array.from({ length: 100 }, (_, racer) =>
          enrolment(gateway, { token, sourceProperties: inventory(`racer-${uses}-${racer}`) }),
        ),
      )
      const statuses = (await Promise.all(bodies.map((body) => call('/agent/v1/enrol', body)))).map(
        ({ status }) => status,
      )
      expect(statuses.filter((status) => status === 200)).toHaveLength(uses)
      expect(statuses.filter((status) => status === 403)).toHaveLength(100 - uses)
    }
    expect((await gateway.store.list('server')).items).toHaveLength(8)
  })

  describe('a use of a token', () => {
    const stored = async (token: string) =>
      (await gateway.store.get('token', { id: token.split('.')[0] ?? '' }))?.value

    /** What writing a server does next. */
    const failNextWrite = (fail: (write: () => Promise<number>) => Promise<number>) => {
      const create = gateway.store.create.bind(gateway.store)
      gateway.store.create = (kind, key, value) => {
        if (kind !== 'server') return create(kind, key, value)
        gateway.store.create = create
        return fail(() => create(kind, key, value))
      }
    }

    it('is left when the server is refused at the last moment', async () => {
      const token = await gateway.installationToken()
      failNextWrite(() => Promise.reject(new ConflictError('It was given away')))
      const body = await enrolment(gateway, { token })
      expect((await call('/agent/v1/enrol', body)).status).toBe(409)
      const { usesLeft, usedBy, pendingUses } = { pendingUses: undefined, ...(await stored(token))! }
      expect({ usesLeft, usedBy, pendingUses }).toEqual({ usesLeft: 1, usedBy: [], pendingUses: undefined })
      expect((await call('/agent/v1/enrol', body)).status).toBe(200)
      expect((await stored(token))?.pendingUses).toBeUndefined()
    })

    it.each([
      ['is given back when a gateway died before it wrote the server', false, 200, 1],
      ['is spent when a gateway died after it wrote the server', true, 403, 1],
    ])('%s', async (_name, isWritten, status, servers) => {
      const token = await gateway.installationToken(1, 3_600_000)
      failNextWrite(async (write) => {
        if (isWritten) await write()
        throw new Error('Died')
      })
      const body = await enrolment(gateway, { token })
      expect((await call('/agent/v1/enrol', body)).status).toBe(500)
      const other = await enrolment(gateway, { token, sourceProperties: inventory('other-host') })
      const refused = await call('/agent/v1/enrol', other)
      expect([refused.status, (await problemOf(refused)).detail]).toEqual([
        403,
        expect.stringMatching(/not ended, as s-.* good again from 2026-03-01T12:05:00.000Z on/),
      ])
      gateway.pass(300_000)
      expect((await call('/agent/v1/enrol', other)).status).toBe(status)
      expect((await gateway.store.list('server')).items).toHaveLength(servers)
      expect(await stored(token)).toMatchObject({ usesLeft: 0, usedBy: [expect.stringMatching(/^s-/)] })
      expect((await stored(token))?.pendingUses).toBeUndefined()
    })

    it('is taken once, though the answer of the store was lost and another has written since', async () => {
      const token = await gateway.installationToken(2, 3_600_000)
      const replace = gateway.store.replace.bind(gateway.store)
      gateway.store.replace = async (kind, key, revision, value) => {
        if (kind !== 'token') return replace(kind, key, revision, value)
        gateway.store.replace = replace
        const written = await replace(kind, key, revision, value)
        await replace(kind, key, written, value)
        throw new RevisionConflictError('It has another')
      }
      expect((await call('/agent/v1/enrol', await enrolment(gateway, { token }))).status).toBe(200)
      const { usesLeft, usedBy, pendingUses } = { pendingUses: undefined, ...(await stored(token))! }
      expect({ usesLeft, used: usedBy.length, pendingUses }).toEqual({
        usesLeft: 1,
        used: 1,
        pendingUses: undefined,
      })
    })

    it('does not come back to a token that was revoked meanwhile', async () => {
      const token = await gateway.installationToken()
      failNextWrite(async () => {
        await revokeInstallationToken(gateway.store, token.split('.')[0] ?? '')
        throw new ConflictError('It was given away')
      })
      expect((await call('/agent/v1/enrol', await enrolment(gateway, { token }))).status).toBe(409)
      expect((await stored(token))?.usesLeft).toBe(0)
    })
  })

  it('stops guessing from one address', async () => {
    const statuses: number[] = []
    for (let guess = 0; guess < 7; guess++) {
      statuses.push((await call('/agent/v1/enrol', await enrolment(gateway, { token: 'xxxxxxxxxx' }))).status)
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429])
    const last = refusalsIn(gateway.logged).at(-1)
    expect(last?.message).toContain('Too many wrong installation tokens from unknown; try again in 10 min')
    expect(last?.fields).toMatchObject({ kind: 'ENROLMENT', address: 'unknown', count: 1 })
    expect((await call('/agent/v1/enrol', await enrolment(gateway))).headers.get('retry-after')).toBe('600')
    gateway.pass(600_000)
    expect((await call('/agent/v1/enrol', await enrolment(gateway))).status).toBe(200)
  })

  it('knows the same machine again, once its agent is silent', async () => {
    const first = await enrolServer(gateway)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    const soon = await call('/agent/v1/enrol', await enrolment(gateway))
    expect([soon.status, (await problemOf(soon)).detail]).toEqual([
      409,
      expect.stringContaining(`This machine is server ${first.sourceServerId} already`),
    ])
    gateway.pass(30_000)
    const again = await enrolServer(gateway)
    expect(again.sourceServerId).toBe(first.sourceServerId)
    expect(again.agent.certificateSerial).not.toBe(first.agent.certificateSerial)
    expect((await gateway.store.list('server')).items).toHaveLength(1)
  })

  it('knows a machine that another gateway enrolled a moment ago', async () => {
    await gateway.services.fleet.list()
    const others = new Fleet(gateway.store, new LocalChanges(), () => gateway.now())
    await others.list()
    const first = await enrolServer(gateway)
    expect(await others.list()).toEqual([])
    const other = createAgentApp({ ...gateway.services, fleet: others }, () => undefined)
    const response = await callAgentPort({ agentApp: other }, '/agent/v1/enrol', await enrolment(gateway))
    expect(enrolledSchema.parse(await response.json()).subjectId).toBe(first.sourceServerId)
    expect((await gateway.store.list('server')).items).toHaveLength(1)
  })

  it('never makes two servers of a machine that enrols twice at once', async () => {
    const bodies = [await enrolment(gateway), await enrolment(gateway)]
    const responses = await Promise.all(bodies.map((body) => call('/agent/v1/enrol', body)))
    const refused = responses.filter(({ status }) => status !== 200)
    expect(refused.length).toBeGreaterThan(0)
    for (const response of refused) {
      const { status, detail } = await problemOf(response)
      expect([status, detail]).toEqual([
        409,
        expect.stringMatching(/at the same moment; try again|is server s-/),
      ])
    }
    expect((await gateway.store.list('server')).items).toHaveLength(2 - refused.length)
    const { sourceServerId } = await enrolServer(gateway)
    const { items } = await gateway.store.list('server')
    expect(items.map(({ value }) => value.sourceServerId)).toEqual([sourceServerId])
  })

  it('does not read all clones of one image when another one of them enrols', async () => {
    const clone = (number: number) =>
      inventory(`web-${number}`, {
        identificationHints: { hostname: `web-${number}`, fqdn: `web-${number}`, machineId: 'image' },
        networkInterfaces: [
          {
            name: 'eth0',
            macAddress: `52:54:00:00:01:${String(number).padStart(2, '0')}`,
            ips: [],
            isPrimary: true,
          },
        ],
      })
    for (let number = 0; number < 12; number++) await enrolServer(gateway, `web-${number}`, clone(number))
    await gateway.services.fleet.list()
    const get = vi.spyOn(gateway.store, 'get')
    const last = await enrolServer(gateway, 'web-12', clone(12))
    const read = get.mock.calls.flatMap(([kind, { id }]) => (kind === 'server' ? [id] : []))
    expect(new Set(read)).toEqual(new Set([last.sourceServerId]))
  })

  it('leaves no note of a machine that came too late for the last use of a token', async () => {
    const token = await gateway.installationToken()
    const bodies = await Promise.all(
      ['web-1', 'web-12'].map((name) => enrolment(gateway, { token, sourceProperties: inventory(name) })),
    )
    const responses = await Promise.all(bodies.map((body) => call('/agent/v1/enrol', body)))
    expect(responses.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 403])
    const servers = (await gateway.store.list('server')).items.map(({ value }) => value.sourceServerId)
    const notes = (await gateway.store.list('knownMachine')).items.map(({ value }) => value.sourceServerId)
    expect(notes).toEqual(servers)
  })

  it('takes a clone for another machine', async () => {
    const first = await enrolServer(gateway)
    const clone = inventory('web-1', {
      networkInterfaces: [{ name: 'eth0', macAddress: '52:54:00:99:99:99', ips: [], isPrimary: true }],
    })
    expect((await enrolServer(gateway, 'web-1', clone)).sourceServerId).not.toBe(first.sourceServerId)
  })

  it('does its part though Redis is away', async () => {
    gateway.wakeUps.fails = true
    const server = await enrolServer(gateway)
    expect(server.activeTask?.kind).toBe('STAGING')
    expect(gateway.logged.join()).toContain('the reconciler will')
  })
})
