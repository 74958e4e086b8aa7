import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReplicationServerId, VolumeId } from '../../../domain/ids.ts'
import type { Enrolled, ReplicatorDesired } from '../../../wire/control_api.ts'
import type { TestGateway } from './support.ts'
import { newInstallationToken } from '../../../domain/installation_token.ts'
import { withLostVolumes } from '../../../domain/staging.ts'
import { replicatorDesiredSchema } from '../../../wire/control_api.ts'
import {
  callAgentPort,
  enrolServer,
  heartbeat,
  inventory,
  peerOf,
  problemOf,
  putServer,
  serverOf,
  signingRequest,
  staged,
} from './callers.ts'
import { refusalsIn, testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const call = (path: string, body: unknown) => callAgentPort(gateway, path, body)

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

  it('are named in the log when they are refused, and on no page', async () => {
    expect((await enrolReplicator('i-00000000000000002' as ReplicationServerId)).status).toBe(403)
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    gateway.present(peerOf(certificatePem, { isTrusted: false }))
    expect((await call('/replicator/v1/renew', {})).status).toBe(401)
    expect(refusalsIn(gateway.logged)).toMatchObject([
      { fields: { kind: 'ENROLMENT', subject: id, tokenId: expect.stringMatching(/^tok-/) } },
      {
        message: expect.stringMatching(/was not issued by this Rehost .*say in their events/),
        fields: { kind: 'CERTIFICATE', subject: id },
      },
    ])
    expect(gateway.services.refusals.list()).toEqual([])
  })

  it('say what they found when they read volumes again, and hear how often they should', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    await putServer(gateway, sourceServerId, staged)
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    gateway.present(peerOf(certificatePem))
    const notes = [{ level: 'ERROR', message: 'The copy of disk 0 is damaged at byte 65536' }]
    const session = { sourceServerId, generation: 1, isConnected: true, openVolumeIds: [] }
    const { scrub } = await beat([{ ...session, notes }])
    expect(scrub).toEqual({ intervalMs: 604_800_000, bytesPerSecond: 16_000_000 })
    await beat([session])
    const server = (await gateway.store.get('server', { id: sourceServerId }))?.value
    expect(server?.outbox.filter(({ type }) => type === 'REPLICATOR')).toMatchObject([
      { actor: 'replicator', level: 'ERROR', message: 'The copy of disk 0 is damaged at byte 65536' },
    ])
  })

  it('are told of the volumes that a server still has when one is lost, so that nothing of them is forgotten', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    gateway.present(peerOf(certificatePem))
    const figures = { replicatedBytes: 0, rescannedBytes: 0, backlogBytes: 0 }
    const volume = {
      diskIndex: 1,
      volumeId: 'vol-00000000000000002' as VolumeId,
      devicePath: '/volumes/2',
      sizeBytes: 1_073_741_824,
    }
    await putServer(gateway, sourceServerId, (server) => {
      const { disks, ...rest } = staged(server)
      return {
        ...rest,
        disks: [
          ...disks,
          { ...volume, ...figures, deviceName: '/dev/sdb', stableId: 'b', isBootDisk: false },
        ],
      }
    })
    expect((await beat()).assignments[0]?.volumes).toHaveLength(2)
    const lost = [{ volumeId: 'vol-00000000000000001' as VolumeId, reason: 'its file is gone' }]
    const at = gateway.now().toISOString()
    await putServer(gateway, sourceServerId, (server) => withLostVolumes(server, lost, at))
    const { assignments } = await beat()
    expect(assignments).toMatchObject([{ sourceServerId, volumes: [volume] }])
    expect(assignments[0]?.volumes).toHaveLength(1)
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

  it('leave the word to the agent, so that two who report do not take turns for ever', async () => {
    const { sourceServerId } = await enrolServer(gateway)
    const agent = gateway.peer()
    await call('/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: inventory() })
    await putServer(gateway, sourceServerId, staged)
    const { certificatePem } = (await (await enrolReplicator()).json()) as Enrolled
    const session = {
      sourceServerId,
      generation: 1,
      isConnected: false,
      openVolumeIds: [],
      error: 'Cannot open volume',
    }
    const error = { error: 'UNSTABLE_NETWORK', rawError: 'Connection reset', whatToDo: 'Wait' }
    for (let second = 0; second < 20; second++) {
      gateway.present(peerOf(certificatePem))
      await beat([session])
      gateway.present(agent)
      await call('/agent/v1/heartbeat', heartbeat(1, { state: 'STALLED', isConnected: false, error }))
      gateway.pass(1000)
    }
    const { outbox, replication } = await serverOf(gateway, sourceServerId)
    expect(replication.error?.rawError).toBe('Connection reset')
    expect(outbox.filter(({ level }) => level === 'ERROR')).toHaveLength(2)
  })
})
