import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReplicationServerId, VolumeId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { AgentDesired, Enrolled, Problem, ReplicatorDesired } from '../../../wire/control_api.ts'
import type { TestGateway } from './support.ts'
import { newInstallationToken } from '../../../domain/installation_token.ts'
import {
  agentDesiredSchema,
  agentUri,
  enrolledSchema,
  replicatorDesiredSchema,
  replicatorUri,
} from '../../../wire/control_api.ts'
import {
  callAgentPort,
  enrolServer,
  heartbeat,
  inventory,
  peerOf,
  putServer,
  serverOf,
  signingRequest,
  testGateway,
} from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const call = (path: string, body: unknown) => callAgentPort(gateway, path, body)

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const problem = (await response.json()) as Problem
  expect(problem.status).toBe(response.status)
  return problem
}

async function enrolment(overrides: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  return {
    token: await gateway.installationToken(),
    csrPem: await signingRequest(),
    version: '0.1.0',
    sourceProperties: inventory(),
    ...overrides,
  }
}

const staged = (server: SourceServer): SourceServer => ({
  ...server,
  activeTask: undefined as never,
  disks: server.disks.map((disk) => ({
    ...disk,
    volumeId: 'vol-00000000000000001' as VolumeId,
    devicePath: '/volumes/1',
  })),
  replication: {
    ...server.replication,
    state: 'INITIATING',
    replicationServerId: 'i-00000000000000001' as ReplicationServerId,
  },
})

describe('POST /agent/v1/enrol', () => {
  it('makes a server, a certificate bound to it, and the work that raises its staging area', async () => {
    const response = await call(
      '/agent/v1/enrol',
      await enrolment({ tags: { env: 'test' }, userProvidedId: 'cmdb-7' }),
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
    const response = await call('/agent/v1/enrol', await enrolment({ token, ...overrides }))
    expect(response.status).toBe(status)
    expect((await problemOf(response)).detail).toMatch(expected)
    expect((await gateway.store.list('server')).items).toEqual([])
    expect((await gateway.store.get('token', { id: token.split('.')[0] ?? '' }))?.value.usesLeft).toBe(1)
  })

  it('refuses a used, an expired, a revoked token and one for replication servers, each in its own words', async () => {
    const used = await gateway.installationToken()
    expect((await call('/agent/v1/enrol', await enrolment({ token: used }))).status).toBe(200)
    const again = await call(
      '/agent/v1/enrol',
      await enrolment({ token: used, sourceProperties: inventory('other-host') }),
    )
    expect([again.status, (await problemOf(again)).detail]).toEqual([
      403,
      expect.stringMatching(/was used already by s-.*make another one/),
    ])

    const expired = await gateway.installationToken(1, 60_000)
    gateway.pass(60_001)
    const late = await call('/agent/v1/enrol', await enrolment({ token: expired }))
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
    const other = await call('/agent/v1/enrol', await enrolment({ token }))
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
          enrolment({ token, sourceProperties: inventory(`racer-${uses}-${racer}`) }),
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

  it('stops guessing from one address', async () => {
    const statuses: number[] = []
    for (let guess = 0; guess < 7; guess++) {
      statuses.push((await call('/agent/v1/enrol', await enrolment({ token: 'xxxxxxxxxx' }))).status)
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429])
    expect((await call('/agent/v1/enrol', await enrolment())).headers.get('retry-after')).toBe('600')
    gateway.pass(600_000)
    expect((await call('/agent/v1/enrol', await enrolment())).status).toBe(200)
  })

  it('knows the same machine again, once its agent is silent', async () => {
    const first = await enrolServer(gateway)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    const soon = await call('/agent/v1/enrol', await enrolment())
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

describe('client certificates', () => {
  const beat = () => call('/agent/v1/heartbeat', heartbeat(0))

  it.each([
    ['none', () => undefined, 401, /needs the client certificate/],
    [
      'one of another authority',
      (pem: string) => peerOf(pem, { isTrusted: false, distrust: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }),
      401,
      /not issued by this Rehost \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/,
    ],
    [
      'one that is expired',
      (pem: string) => peerOf(pem, { notAfter: new Date('2026-02-01T00:00:00Z') }),
      401,
      /expired at 2026-02-01/,
    ],
    [
      'one that TLS found expired',
      (pem: string) => peerOf(pem, { isTrusted: false, distrust: 'CERT_HAS_EXPIRED' }),
      401,
      /expired at/,
    ],
    [
      'one from the future',
      (pem: string) => peerOf(pem, { notBefore: new Date('2027-01-01T00:00:00Z') }),
      401,
      /check the clocks/,
    ],
    ['one without a name', (pem: string) => peerOf(pem, { uris: [] }), 403, /carries no name/],
    [
      'one with two names',
      (pem: string) => peerOf(pem, { uris: [...peerOf(pem).uris, agentUri('s-00000000000000009')] }),
      403,
      /this call is for rehost:\/\/source-server\//,
    ],
    [
      'one of a replication server',
      (pem: string) => peerOf(pem, { uris: [replicatorUri('i-00000000000000001')] }),
      403,
      /this call is for/,
    ],
    [
      'one with an older serial number',
      (pem: string) => peerOf(pem, { serial: '4A' }),
      403,
      /no longer the one in use/,
    ],
    [
      'one of a deleted server',
      (pem: string) => peerOf(pem, { uris: [agentUri('s-00000000000000009')] }),
      404,
      /Cannot find source server s-00000000000000009: it was deleted/,
    ],
  ])('%s is refused', async (_name, present, status, expected) => {
    const response = await call('/agent/v1/enrol', await enrolment())
    const { certificatePem } = (await response.json()) as Enrolled
    gateway.present(present(certificatePem))
    const refused = await beat()
    expect(refused.status).toBe(status)
    expect((await problemOf(refused)).detail).toMatch(expected)
  })

  it('are renewed at half life, and the old one is good until the new one is used', async () => {
    const first = (await (await call('/agent/v1/enrol', await enrolment())).json()) as Enrolled
    const old = peerOf(first.certificatePem)
    gateway.present(old)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    const beatAgain = () => call('/agent/v1/heartbeat', heartbeat(1))
    expect(((await (await beatAgain()).json()) as AgentDesired).renewCertificate).toBe(false)
    gateway.pass(4 * 86_400_000)
    expect(((await (await beatAgain()).json()) as AgentDesired).renewCertificate).toBe(true)
    const response = await call('/agent/v1/renew', { csrPem: await signingRequest() })
    const { certificatePem } = (await response.json()) as Enrolled
    expect((await beatAgain()).status).toBe(200)
    gateway.present(peerOf(certificatePem))
    expect(((await (await beatAgain()).json()) as AgentDesired).renewCertificate).toBe(false)
    gateway.present(old)
    expect((await beatAgain()).status).toBe(403)
    expect((await serverOf(gateway, first.subjectId)).agent.previousCertificateSerial).toBeUndefined()
  })
})

describe('start and heartbeat', () => {
  it('lead an agent from idle to continuous', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    const started = await call('/agent/v1/start', {
      version: '0.1.0',
      bootId: 'b',
      sourceProperties: inventory(),
    })
    expect(await started.json()).toEqual({ generation: 1 })

    const idle = agentDesiredSchema.parse(
      await (
        await call(
          '/agent/v1/heartbeat',
          heartbeat(1, { state: 'INITIATING', isConnected: false, firstByteAt: undefined, disks: [] }),
        )
      ).json(),
    )
    expect(idle).toMatchObject({ mode: 'IDLE', disks: [], heartbeatIntervalMs: 500 })
    expect(idle.replicator).toBeUndefined()

    await gateway.store.create(
      'replicationServer',
      { id: 'i-00000000000000001' },
      {
        replicationServerId: 'i-00000000000000001' as ReplicationServerId,
        createdAt: gateway.now().toISOString(),
        state: 'READY',
        address: '192.0.2.30',
        port: 1500,
      },
    )
    await putServer(gateway, id, staged)
    const replicate = agentDesiredSchema.parse(
      await (await call('/agent/v1/heartbeat', heartbeat(1, { state: 'INITIAL_SYNC' }))).json(),
    )
    expect(replicate).toEqual({
      mode: 'REPLICATE',
      replicator: { replicationServerId: 'i-00000000000000001', address: '192.0.2.30', port: 1500 },
      disks: [
        { diskIndex: 0, deviceName: '/dev/sda', volumeId: 'vol-00000000000000001', sizeBytes: 3_221_225_472 },
      ],
      throttleBitsPerSecond: 0,
      rescanEpoch: 0,
      renewCertificate: false,
      heartbeatIntervalMs: 2000,
    })
    expect((await call('/agent/v1/heartbeat', heartbeat(1))).status).toBe(200)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('refuse an older generation with what to do', async () => {
    await enrolServer(gateway)
    const start = () =>
      call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    await start()
    await start()
    const stale = await call('/agent/v1/heartbeat', heartbeat(1))
    expect([stale.status, (await problemOf(stale)).detail]).toEqual([
      409,
      expect.stringContaining('another run of the agent has taken over'),
    ])
  })

  it('stop copying when a disk shrank or vanished, and say so', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, staged)
    const [disk] = inventory().disks
    const smaller = inventory('web-1', {
      disks: [{ ...(disk as NonNullable<typeof disk>), sizeBytes: 4096 }],
    })
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: smaller })
    const server = await serverOf(gateway, id)
    expect(server.replication).toMatchObject({
      state: 'STALLED',
      error: { error: 'UNSUPPORTED_VM_CONFIGURATION' },
    })
    const desired = (await (await call('/agent/v1/heartbeat', heartbeat(1))).json()) as AgentDesired
    expect(desired).toMatchObject({ mode: 'IDLE', disks: [] })
    expect((await serverOf(gateway, id)).replication.state).toBe('STALLED')
  })

  it('write to the store only what is news, or every ten seconds', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, staged)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    await call('/agent/v1/heartbeat', heartbeat(1))
    const revision = async () => (await gateway.store.get('server', { id }))?.revision
    const before = await revision()
    for (let beat = 0; beat < 9; beat++) {
      gateway.pass(1000)
      await call('/agent/v1/heartbeat', heartbeat(1))
    }
    expect(await revision()).toBe(before)
    gateway.pass(1000)
    await call('/agent/v1/heartbeat', heartbeat(1))
    expect(await revision()).toBe((before ?? 0) + 1)
  })

  it('carry instructions down: pause, rescan, consistency point, uninstall', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, staged)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    const desired = async () =>
      (await (await call('/agent/v1/heartbeat', heartbeat(1))).json()) as AgentDesired
    await putServer(gateway, id, (server) => ({
      ...server,
      agent: { ...server.agent, desired: 'PAUSE' },
      replication: { ...server.replication, rescanEpoch: 3 },
    }))
    expect(await desired()).toMatchObject({ mode: 'PAUSE', rescanEpoch: 3 })
    const expiresAt = new Date(gateway.now().getTime() + 60_000).toISOString()
    await putServer(gateway, id, (server) => ({
      ...server,
      consistencyRequest: {
        consistencyPointId: 'cp-00000000000000001' as never,
        state: 'REQUESTED',
        requestedAt: gateway.now().toISOString(),
        expiresAt,
      },
    }))
    expect((await desired()).consistencyPoint).toEqual({
      consistencyPointId: 'cp-00000000000000001',
      expiresAt,
      maxFreezeMs: 5000,
    })
    gateway.pass(60_000)
    expect((await desired()).consistencyPoint).toBeUndefined()
    expect((await serverOf(gateway, id)).consistencyRequest?.state).toBe('EXPIRED')
    await putServer(gateway, id, (server) => ({
      ...server,
      agent: { ...server.agent, desired: 'UNINSTALL' },
    }))
    expect((await desired()).mode).toBe('UNINSTALL')
    expect((await call('/agent/v1/uninstalled', {})).status).toBe(200)
    expect((await serverOf(gateway, id)).agent.uninstalledAt).toBe(gateway.now().toISOString())
  })
})

describe('replication servers', () => {
  const id = 'i-00000000000000001' as ReplicationServerId

  async function enrolReplicator(tokenFor = id): Promise<Response> {
    const at = gateway.now().toISOString()
    if ((await gateway.store.get('replicationServer', { id })) === undefined) {
      await gateway.store.create(
        'replicationServer',
        { id },
        { replicationServerId: id, createdAt: at, state: 'LAUNCHING', address: '192.0.2.30', port: 1500 },
      )
    }
    const wanted = {
      purpose: 'REPLICATOR',
      createdBy: 'workers',
      at,
      uses: 1,
      lifetimeMs: 600_000,
      replicationServerId: tokenFor,
    } as const
    const { token, record } = await newInstallationToken(wanted, gateway.services.random)
    await gateway.store.create('token', { id: record.tokenId }, record)
    return call('/replicator/v1/enrol', {
      token,
      csrPem: await signingRequest(),
      version: '0.1.0',
      replicationServerId: id,
    })
  }

  const beat = async (sessions: unknown[] = []) =>
    replicatorDesiredSchema.parse(
      await (await call('/replicator/v1/heartbeat', { version: '0.1.0', port: 1500, sessions })).json(),
    )

  it('enrol with a token of their own, become READY and get their servers alone', async () => {
    const agentsServer = await enrolServer(gateway)
    await enrolServer(gateway, 'elsewhere')
    await putServer(gateway, agentsServer.sourceServerId, staged)
    const response = await enrolReplicator()
    expect(response.status).toBe(200)
    const { certificatePem, subjectId } = (await response.json()) as Enrolled
    expect(subjectId).toBe(id)
    gateway.present(peerOf(certificatePem))
    gateway.pass(2000)
    const desired: ReplicatorDesired = await beat()
    expect(desired.assignments).toEqual([
      {
        sourceServerId: agentsServer.sourceServerId,
        certificateSerials: [agentsServer.agent.certificateSerial],
        volumes: [
          {
            diskIndex: 0,
            volumeId: 'vol-00000000000000001',
            devicePath: '/volumes/1',
            sizeBytes: 3_221_225_472,
          },
        ],
      },
    ])
    expect((await gateway.store.get('replicationServer', { id }))?.value).toMatchObject({
      state: 'READY',
      lastSeenAt: gateway.now().toISOString(),
    })
  })

  it('refuse a token made for another', async () => {
    const response = await enrolReplicator('i-00000000000000002' as ReplicationServerId)
    expect([response.status, (await problemOf(response)).detail]).toEqual([
      403,
      expect.stringContaining(`not meant for replication server ${id}`),
    ])
  })

  it('report a reached point, and are told when it is taken or over', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const expiresAt = new Date(gateway.now().getTime() + 60_000).toISOString()
    const consistencyRequest = {
      consistencyPointId: 'cp-00000000000000001' as never,
      state: 'REQUESTED',
      requestedAt: gateway.now().toISOString(),
      expiresAt,
    } as const
    await putServer(gateway, sourceServerId, (server) => ({ ...staged(server), consistencyRequest }))
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    gateway.present(peerOf(certificatePem))
    const roots = [{ diskIndex: 0, root: createHash('sha256').update('x').digest('hex') }]
    const reached = {
      sourceServerId,
      consistencyPointId: 'cp-00000000000000001',
      method: 'FROZEN',
      frozenMs: 80,
      roots,
    }
    expect((await call('/replicator/v1/consistency-points', reached)).status).toBe(200)
    expect((await call('/replicator/v1/consistency-points', reached)).status).toBe(200)
    expect((await serverOf(gateway, sourceServerId)).consistencyRequest).toMatchObject({
      state: 'REACHED',
      roots,
    })
    expect((await beat()).assignments[0]?.consistencyPoint?.state).toBe('REACHED')
    expect((await beat()).heartbeatIntervalMs).toBe(500)
    gateway.pass(60_000)
    expect((await beat()).assignments[0]?.consistencyPoint?.state).toBe('EXPIRED')
    const late = await call('/replicator/v1/consistency-points', reached)
    expect([late.status, (await problemOf(late)).detail]).toEqual([
      409,
      expect.stringContaining('let the held writes go'),
    ])
    const foreign = await putServer(gateway, sourceServerId, (server) => ({
      ...server,
      replication: {
        ...server.replication,
        replicationServerId: 'i-00000000000000007' as ReplicationServerId,
      },
    }))
    expect(
      (
        await call('/replicator/v1/consistency-points', {
          ...reached,
          sourceServerId: foreign.sourceServerId,
        })
      ).status,
    ).toBe(403)
  })

  it('show what a session suffers from', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    await putServer(gateway, sourceServerId, staged)
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    gateway.present(peerOf(certificatePem))
    const session = {
      sourceServerId,
      generation: 1,
      isConnected: false,
      openVolumeIds: [],
      error: 'No space left on the staging disk',
    }
    await beat([session])
    await beat([session])
    const server = await serverOf(gateway, sourceServerId)
    expect(server.replication.error?.rawError).toBe('No space left on the staging disk')
    expect(
      server.outbox.filter(({ message }) => message === 'No space left on the staging disk'),
    ).toHaveLength(1)
  })
})

describe('downloads', () => {
  it('say clearly that the agent has not been built', async () => {
    for (const path of [
      '/install.sh',
      '/agent/rehost-agent-linux-x64.gz',
      '/agent/rehost-agent-linux-x64.gz.sha256',
    ]) {
      const response = await gateway.agentApp.request(path)
      expect(response.status).toBe(503)
      expect((await problemOf(response)).detail).toContain('Run npm run build:agent')
    }
  })

  it('give the file, its checksum and the script that knows both', async () => {
    const body = Buffer.from('a gzipped agent')
    const digest = createHash('sha256').update(body).digest('hex')
    await mkdir(join(gateway.folder, 'agent'))
    await writeFile(join(gateway.folder, 'agent/rehost-agent-linux-x64.gz'), body)
    await writeFile(
      join(gateway.folder, 'agent/rehost-agent-linux-x64.gz.sha256'),
      `${digest}  rehost-agent-linux-x64.gz\n`,
    )
    const file = await gateway.agentApp.request('/agent/rehost-agent-linux-x64.gz')
    expect(file.headers.get('content-length')).toBe(String(body.length))
    expect(Buffer.from(await file.arrayBuffer())).toEqual(body)
    const script = await (await gateway.agentApp.request('/install.sh')).text()
    expect(script).toContain(digest)
    expect(script).toContain(gateway.services.installation.pin)
    expect(
      await (await gateway.agentApp.request('/agent/rehost-agent-linux-x64.gz.sha256')).text(),
    ).toContain(digest)
  })
})

describe('bad requests', () => {
  it.each([
    ['no JSON', '{', 'application/json', 400],
    ['another type', 'a=b', 'application/x-www-form-urlencoded', 415],
    ['a huge body', `"${'x'.repeat(3_000_000)}"`, 'application/json', 413],
  ])('%s', async (_name, body, contentType, status) => {
    const response = await gateway.agentApp.request('/agent/v1/enrol', {
      method: 'POST',
      body,
      headers: { 'content-type': contentType, 'content-length': String(body.length) },
    })
    expect(response.status).toBe(status)
    await problemOf(response)
  })

  it('unknown paths', async () => {
    expect((await problemOf(await gateway.agentApp.request('/nothing'))).detail).toBe(
      'There is nothing at /nothing on the agent port',
    )
  })
})
