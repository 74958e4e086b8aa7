import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { defaultConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import type { ReplicationServerId, SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { AgentDesired, Enrolled } from '../../../wire/control_api.ts'
import type { TestGateway } from './support.ts'
import { performAction } from '../../../gateway/actions.ts'
import { mutate } from '../../../store/mutate.ts'
import { agentDesiredSchema, agentUri, replicatorUri } from '../../../wire/control_api.ts'
import {
  callAgentPort,
  enrolServer,
  enrolment,
  heartbeat,
  inventory,
  peerOf,
  problemOf,
  putServer,
  serverOf,
  signingRequest,
  staged,
} from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const call = (path: string, body: unknown) => callAgentPort(gateway, path, body)

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
    const response = await call('/agent/v1/enrol', await enrolment(gateway))
    const { certificatePem } = (await response.json()) as Enrolled
    gateway.present(present(certificatePem))
    const refused = await beat()
    expect(refused.status).toBe(status)
    expect((await problemOf(refused)).detail).toMatch(expected)
  })

  it('are renewed at half life, and the old one is good until the new one is used', async () => {
    const first = (await (await call('/agent/v1/enrol', await enrolment(gateway))).json()) as Enrolled
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

describe('heartbeats of a large fleet', () => {
  /** As if many others had called a moment ago. */
  function holdMany(): void {
    const { servers } = gateway.services.held
    for (let number = 0; number < 250; number++) {
      const id = `s-${String(number).padStart(17, '0')}`
      servers.end(id, servers.begin(id), { value: {} as SourceServer, revision: 1 })
    }
    expect(servers.isLarge).toBe(true)
  }

  const beat = () => call('/agent/v1/heartbeat', heartbeat(1))
  const desired = async () => (await (await beat()).json()) as AgentDesired

  async function held() {
    const enrolled = await enrolServer(gateway)
    await putServer(gateway, enrolled.sourceServerId, staged)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    holdMany()
    expect((await desired()).mode).toBe('IDLE')
    return enrolled
  }

  /** Writes as another process does, whose notice is lost. */
  const writeUnheard = async (id: SourceServerId, change: (server: SourceServer) => SourceServer) => {
    await mutate(gateway.store, 'server', { id }, change)
  }

  it('carry what another process wrote once its notice has come', async () => {
    const { sourceServerId: id } = await held()
    await writeUnheard(id, (server) => ({ ...server, agent: { ...server.agent, desired: 'PAUSE' } }))
    expect((await desired()).mode).toBe('IDLE')
    await gateway.changes.publish({ kind: 'server', id })
    expect((await desired()).mode).toBe('PAUSE')
  })

  it('carry at once what was written here', async () => {
    const { sourceServerId: id } = await held()
    await performAction(gateway.services, id, 'PAUSE', 'alice')
    expect((await desired()).mode).toBe('PAUSE')
  })

  it('meet the server that asked, though its notice was lost, when they bring an answer', async () => {
    const { sourceServerId: id } = await held()
    await writeUnheard(id, (server) => ({
      ...server,
      consistencyRequest: {
        consistencyPointId: 'cp-1',
        state: 'REQUESTED',
        requestedAt: gateway.now().toISOString(),
        expiresAt: new Date(gateway.now().getTime() + 60_000).toISOString(),
      } as SourceServer['consistencyRequest'] & object,
    }))
    const consistencyFailure = { consistencyPointId: 'cp-1', reason: 'The file system could not be frozen' }
    expect((await call('/agent/v1/heartbeat', { ...heartbeat(1), consistencyFailure })).status).toBe(200)
    expect((await serverOf(gateway, id)).consistencyRequest?.state).toBe('FAILED')
  })

  it('are all that a certificate is good for that ended unheard, and not one that writes', async () => {
    const { sourceServerId: id } = await held()
    await writeUnheard(id, (server) => ({
      ...server,
      agent: { ...server.agent, certificateSerial: 'ANOTHER' },
    }))
    const renewal = await call('/agent/v1/renew', { csrPem: await signingRequest() })
    expect(renewal.status).toBe(403)
    const again = { version: '0.1.0', bootId: 'c', sourceProperties: inventory() }
    expect((await call('/agent/v1/start', again)).status).toBe(403)
    expect((await call('/agent/v1/uninstalled', {})).status).toBe(403)
    expect((await serverOf(gateway, id)).agent).toMatchObject({ certificateSerial: 'ANOTHER', generation: 1 })
  })

  it('of a certificate that ended unheard are refused once one was to be written', async () => {
    const { sourceServerId: id } = await held()
    const end = (server: SourceServer): SourceServer => ({
      ...server,
      agent: { ...server.agent, certificateSerial: 'ANOTHER' },
    })
    await writeUnheard(id, end)
    gateway.pass(12_000)
    const before = await gateway.store.get('server', { id })
    expect((await beat()).status).toBe(200)
    await gateway.services.quietWrites.settle()
    expect((await beat()).status).toBe(403)
    expect((await beat()).status).toBe(403)
    expect(await gateway.store.get('server', { id })).toEqual(before)
  })

  it('without news do not wait for the store, which gets one write of each agent at a time', async () => {
    const { sourceServerId: id } = await held()
    const before = await serverOf(gateway, id)
    const answered = Promise.withResolvers<void>()
    const replace = gateway.store.replace.bind(gateway.store)
    const slow = vi.spyOn(gateway.store, 'replace').mockImplementation(async (...told) => {
      await answered.promise
      return replace(...told)
    })
    gateway.pass(12_000)
    for (let count = 0; count < 3; count++) expect((await beat()).status).toBe(200)
    expect(slow).toHaveBeenCalledTimes(1)
    expect((await serverOf(gateway, id)).agent.lastSeenAt).toBe(before.agent.lastSeenAt)
    const heardAt = gateway.now().toISOString()
    answered.resolve()
    await gateway.services.quietWrites.settle()
    expect((await serverOf(gateway, id)).agent.lastSeenAt).toBe(heardAt)
    expect((await beat()).status).toBe(200)
    expect(slow).toHaveBeenCalledTimes(1)
  })

  it('do not take back what a later one told when they are written after it', async () => {
    const { sourceServerId: id } = await held()
    const answered = Promise.withResolvers<void>()
    const replace = gateway.store.replace.bind(gateway.store)
    vi.spyOn(gateway.store, 'replace').mockImplementationOnce(async (...told) => {
      await answered.promise
      return replace(...told)
    })
    gateway.pass(12_000)
    expect((await beat()).status).toBe(200)
    gateway.pass(400)
    const tracker = { kind: 'FULL_SCAN', reason: 'The module was unloaded' } as const
    const report = heartbeat(1) as { disks: object[] }
    const news = { ...report, disks: report.disks.map((disk) => ({ ...disk, tracker })) }
    expect((await call('/agent/v1/heartbeat', news)).status).toBe(200)
    const told = await gateway.store.get('server', { id })
    answered.resolve()
    await gateway.services.quietWrites.settle()
    expect(await gateway.store.get('server', { id })).toEqual(told)
  })

  it('of a verification are written down although the agent counted as silent before', async () => {
    const { sourceServerId: id } = await held()
    const verification = { verifyEpoch: 1, isDone: false, disks: [] }
    gateway.pass(60_000)
    holdMany()
    expect((await call('/agent/v1/heartbeat', { ...heartbeat(1), verification })).status).toBe(200)
    await gateway.services.quietWrites.settle()
    expect((await serverOf(gateway, id)).agent.lastSeenAt).toBe(gateway.now().toISOString())
  })

  it('wait for it before the agent would count as silent, and are told when it fails', async () => {
    const { sourceServerId: id } = await held()
    const failing = vi.spyOn(gateway.store, 'replace').mockRejectedValue(new Error('The table is away'))
    gateway.pass(12_000)
    expect((await beat()).status).toBe(200)
    await gateway.services.quietWrites.settle()
    gateway.pass(1000)
    expect((await beat()).status).toBe(500)
    failing.mockRestore()
    expect((await beat()).status).toBe(200)
    expect((await serverOf(gateway, id)).agent.lastSeenAt).toBe(gateway.now().toISOString())
  })

  it('with news are answered after these are written', async () => {
    const { sourceServerId: id } = await held()
    vi.spyOn(gateway.store, 'replace').mockRejectedValueOnce(new Error('The table is away'))
    const note = { level: 'WARNING', message: 'A disk cannot be read' } as const
    const told = () => call('/agent/v1/heartbeat', heartbeat(1, { notes: [note] }))
    expect((await told()).status).toBe(500)
    expect((await told()).status).toBe(200)
    expect(
      (await serverOf(gateway, id)).outbox.filter(({ message }) => message === note.message),
    ).toHaveLength(1)
  })

  it('end when the server was deleted', async () => {
    const { sourceServerId: id } = await held()
    await gateway.store.remove('server', { id })
    await gateway.changes.publish({ kind: 'server', id })
    expect((await beat()).status).toBe(404)
  })
})

describe('start and heartbeat', () => {
  it('refuse a copy of a machine whose agent runs, which goes on, and tell the operator', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    const start = (bootId: string, sourceProperties = inventory()) =>
      call('/agent/v1/start', { version: '0.1.0', bootId, sourceProperties })
    const clone = inventory('web-1', {
      networkInterfaces: [
        { name: 'eth0', macAddress: '52:54:00:ff:ff:ff', ips: ['192.0.2.99'], isPrimary: true },
      ],
    })
    expect((await start('b')).status).toBe(200)
    for (let minute = 0; minute < 3; minute++) {
      gateway.pass(15_000)
      expect((await call('/agent/v1/heartbeat', heartbeat(1))).status).toBe(200)
      const refused = await start('c', clone)
      expect([refused.status, (await problemOf(refused)).detail]).toEqual([
        403,
        expect.stringContaining('its network addresses are 52:54:00:ff:ff:ff and not'),
      ])
    }
    const server = await serverOf(gateway, id)
    expect(server.agent).toMatchObject({ generation: 1, bootId: 'b' })
    expect(server.sourceProperties.networkInterfaces).toEqual(inventory().networkInterfaces)
    expect(server.outbox.filter(({ level }) => level === 'ERROR')).toMatchObject([
      { type: 'AGENT', message: expect.stringContaining('one of the two is a copy of the other') },
    ])
    expect((await start('b')).status).toBe(200)
  })

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
      consistencyPolicy: defaultConsistencyPolicy,
      replicator: { replicationServerId: 'i-00000000000000001', address: '192.0.2.30', port: 1500 },
      disks: [
        {
          diskIndex: 0,
          deviceName: '/dev/sda',
          stableId: 'serial-web-1-a',
          volumeId: 'vol-00000000000000001',
          sizeBytes: 3_221_225_472,
        },
      ],
      throttleBitsPerSecond: 0,
      isSendingOff: false,
      yieldsToSource: true,
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

  it('write to the store only what is news, or once in some ten seconds', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, staged)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    await call('/agent/v1/heartbeat', heartbeat(1))
    const revision = async () => (await gateway.store.get('server', { id }))?.revision
    const before = await revision()
    const beatFor = async (seconds: number) => {
      for (let beat = 0; beat < seconds; beat++) {
        gateway.pass(1000)
        await call('/agent/v1/heartbeat', heartbeat(1))
      }
    }
    await beatFor(6)
    expect(await revision()).toBe(before)
    await beatFor(6)
    expect(await revision()).toBe((before ?? 0) + 1)
  })

  it('ask for a verification until its result has come, and keep that', async () => {
    const { sourceServerId: id } = await enrolServer(gateway)
    await putServer(gateway, id, staged)
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    const beat = async (overrides = {}) =>
      (await (await call('/agent/v1/heartbeat', heartbeat(1, overrides))).json()) as AgentDesired
    expect(await beat()).not.toHaveProperty('verifyEpoch')
    await putServer(gateway, id, (server) => ({
      ...server,
      replication: {
        ...server.replication,
        verification: {
          verifyEpoch: 2,
          askedAt: gateway.now().toISOString(),
          askedBy: 'admin',
          disks: [],
        },
      },
    }))
    expect(await beat()).toMatchObject({ verifyEpoch: 2 })
    const disk = {
      diskIndex: 0,
      checkedBytes: 3_221_225_472,
      differingBlocks: 1,
      damagedBlocks: 1,
      repairedBlocks: 1,
      unreadableBlocks: 0,
      differences: [{ offsetBytes: 65_536, lengthBytes: 65_536 }],
      sourceRoot: 'ab'.repeat(32),
      replicaRoot: 'ab'.repeat(32),
      durationMs: 5000,
    }
    const half = { verifyEpoch: 2, isDone: false, disks: [{ ...disk, checkedBytes: 1 }] }
    expect(await beat({ verification: half })).toMatchObject({ verifyEpoch: 2 })
    const done = { verifyEpoch: 2, isDone: true, disks: [disk] }
    expect(await beat({ verification: done })).not.toHaveProperty('verifyEpoch')
    const { replication, outbox } = (await gateway.store.get('server', { id }))?.value ?? {}
    expect(replication?.verification).toMatchObject({ verdict: 'REPAIRED', disks: [disk] })
    expect(outbox?.filter(({ type }) => type === 'VERIFICATION')).toHaveLength(1)
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
