import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { Bench } from '../../../workers/bench.ts'
import type { TestGateway } from './support.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { faultOf } from '../../../agent/sync/faults.ts'
import { requireSpace } from '../../../cloud/qemu/space.ts'
import { toolsOn } from '../../../cloud/qemu/tools.ts'
import { diskError } from '../../../replicator/disk.ts'
import { agentDesiredSchema, agentUri } from '../../../wire/control_api.ts'
import { watchReplication } from '../../../workers/replication_watch.ts'
import { callAgentPort, enrolServer, enrolment, heartbeat, serverOf } from './callers.ts'
import {
  replicationServerId,
  textOf,
  waitingPage,
  refusedEnrolment,
  start,
  running,
  pageOf,
  suffer,
  withDisks,
  callWith,
  putTask,
  launching,
  failedFinalize,
  failedLaunch,
  failedStaging,
  failureOf,
  lost,
} from './fault_scenes.ts'
import { refusalsIn, testGateway } from './support.ts'

/**
 * Every fault that an operator may meet, brought about by the code that meets it in production, and the sentences that the dashboard then
 * says: what happened, and what to do.
 */

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

interface Fault {
  name: string
  /** Brings it about; the address of the page where the operator looks. */
  arrange: () => Promise<string>
  says: string[]
  /** What the gateway's log keeps of a refused call. */
  logs?: { message: string; fields: Record<string, string> }
}

const wrongTokenId = 'tok-00000000000000009'

const faults: Fault[] = [
  {
    name: 'a wrong token',
    arrange: async () => {
      const page = await waitingPage(gateway)
      await refusedEnrolment(gateway, { token: `${wrongTokenId}.${'0'.repeat(64)}` })
      return page
    },
    says: [
      'db-01 was refused',
      'The installation token is wrong: copy the whole command, or make another one with Add server',
    ],
    logs: {
      message: 'The installation token is wrong: copy the whole command, or make another one with Add server',
      fields: { kind: 'ENROLMENT', subject: 'db-01', tokenId: wrongTokenId },
    },
  },
  {
    name: 'a used token',
    arrange: async () => {
      const token = await gateway.installationToken()
      await callAgentPort(gateway, '/agent/v1/enrol', await enrolment(gateway, { token }))
      await refusedEnrolment(gateway, { token })
      return `/servers/add/${token.split('.')[0]}`
    },
    says: ['db-01 was refused', 'was used already by s-', 'make another one with Add server'],
    logs: { message: 'was used already by s-', fields: { kind: 'ENROLMENT', subject: 'db-01' } },
  },
  {
    name: 'an expired token',
    arrange: async () => {
      const token = await gateway.installationToken(1, 60_000)
      gateway.pass(60_001)
      await refusedEnrolment(gateway, { token })
      return `/servers/add/${token.split('.')[0]}`
    },
    says: ['db-01 was refused', 'expired at 2026-03-01T12:01:00.000Z; make another one with Add server'],
    logs: {
      message: 'expired at 2026-03-01T12:01:00.000Z; make another one with Add server',
      fields: { kind: 'ENROLMENT', subject: 'db-01' },
    },
  },
  {
    name: 'a machine that is known and runs',
    arrange: async () => {
      await running(gateway)
      const page = await waitingPage(gateway)
      await refusedEnrolment(gateway, {})
      return page
    },
    says: ['db-01 was refused', 'This machine is server s-', 'Stop that agent and try again in 20 s'],
    logs: { message: 'This machine is server s-', fields: { kind: 'ENROLMENT', subject: 'db-01' } },
  },
  {
    name: 'an expired certificate',
    arrange: async () => pageOf(await callWith(gateway, { notAfter: new Date('2026-02-01T00:00:00Z') })),
    says: [
      'A call of the agent from unknown was refused',
      'The client certificate expired at 2026-02-01T00:00:00.000Z',
      'install the agent again with a new command from Add server',
    ],
    logs: {
      message: 'The client certificate expired at 2026-02-01T00:00:00.000Z',
      fields: { kind: 'CERTIFICATE' },
    },
  },
  {
    name: 'a foreign certificate',
    arrange: async () =>
      pageOf(await callWith(gateway, { isTrusted: false, distrust: 'SELF_SIGNED_CERT_IN_CHAIN' })),
    says: [
      'The client certificate was not issued by this Rehost (SELF_SIGNED_CERT_IN_CHAIN)',
      'install the agent again with a new command from Add server',
    ],
    logs: {
      message: 'The client certificate was not issued by this Rehost (SELF_SIGNED_CERT_IN_CHAIN)',
      fields: { kind: 'CERTIFICATE' },
    },
  },
  {
    name: 'an unknown server',
    arrange: async () => {
      const page = await waitingPage(gateway)
      await callWith(gateway, { uris: [agentUri('s-00000000000000009')] })
      return page
    },
    says: [
      'Cannot find source server s-00000000000000009: it was deleted in the dashboard',
      'Uninstall this agent (rehost-agent uninstall), or install the agent again',
    ],
    logs: {
      message: 'Cannot find source server s-00000000000000009: it was deleted in the dashboard',
      fields: { kind: 'CERTIFICATE', subject: 's-00000000000000009' },
    },
  },
  {
    name: 'a disk smaller than before',
    arrange: () => withDisks(gateway, (disk) => ({ ...disk, sizeBytes: Math.min(disk.sizeBytes, 4096) })),
    says: [
      'The disks cannot be replicated as they are',
      'Disk /dev/sda (serial-db-01-a) is smaller than before: 4096 bytes, was 3221225472.',
      'Check that it is the same disk and restart the agent',
    ],
  },
  {
    name: 'a vanished disk',
    arrange: () => withDisks(gateway, (disk) => (disk.deviceName === '/dev/sda' ? undefined : disk)),
    says: [
      'Disk /dev/sda (serial-db-01-a) has vanished from the source server.',
      'Attach the disk again and restart the agent',
    ],
  },
  {
    name: 'an unreadable sector',
    arrange: () => suffer(gateway, faultOf(new UnreadableSectorError('/dev/sda', 4_194_304), true)),
    says: [
      'The replica cannot become complete',
      'Cannot read sector 8192 of /dev/sda.',
      'The disk fails: run smartctl -a /dev/sda and replace it',
    ],
  },
  {
    name: 'a full staging disk',
    arrange: () => {
      const full = Object.assign(new Error('full'), { code: 'ENOSPC' })
      return suffer(gateway, faultOf(diskError(full, 'write to volume vol-1'), true))
    },
    says: [
      'Cannot write to volume vol-1: no space is left in the staging area (ENOSPC)',
      'Make room in the staging area',
    ],
  },
  {
    name: 'a killed replicator, as its agent sees it',
    arrange: () =>
      suffer(gateway, {
        error: 'FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER',
        rawError: 'connect ECONNREFUSED 192.0.2.30:1500',
        whatToDo: 'Check that this machine reaches the replication server on that address and TCP port',
      }),
    says: [
      'The agent cannot reach the replication server',
      'Connect ECONNREFUSED 192.0.2.30:1500.',
      'Check that this machine reaches the replication server on that address and TCP port',
    ],
  },
  {
    name: 'a killed replicator, as the workers see it',
    arrange: async () => {
      await gateway.store.create('replicationServer', { id: replicationServerId }, lost)
      return pageOf(await running(gateway))
    },
    says: [
      `Replication server ${replicationServerId} has stopped`,
      'It is started again by itself. Nothing is lost',
    ],
  },
  {
    name: 'a replicator that is not heard',
    arrange: async () => {
      await gateway.store.create(
        'replicationServer',
        { id: replicationServerId },
        { ...lost, state: 'READY' },
      )
      const server = await running(gateway)
      gateway.pass(15_000)
      return pageOf(server)
    },
    says: [
      `Replication server ${replicationServerId} was last heard 45 s ago`,
      'See whether it runs and reaches this service on the agent port',
    ],
  },
  {
    name: 'a worker killed in mid-step',
    arrange: async () => {
      const server = await launching(gateway)
      await putTask(gateway, server, (task) => ({
        ...task,
        status: 'RUNNING',
        steps: task.steps.map((step, index) => ({ ...step, status: index === 0 ? 'DONE' : 'PENDING' })),
        lease: { owner: 'w', epoch: 1, expiresAt: gateway.now().toISOString() },
      }))
      gateway.pass(5000)
      return pageOf(server)
    },
    says: [
      'Step 2 of 8: Reach a consistency point',
      'The worker that did this has stopped',
      'Another one takes over at this step, by itself and within a minute',
    ],
  },
  {
    name: 'no worker at all',
    arrange: async () => {
      const server = await launching(gateway)
      gateway.pass(120_000)
      return pageOf(server)
    },
    says: ['No worker has begun this for 2 min', 'see whether a worker runs and reaches Redis'],
  },
  {
    name: 'a step that fails and is tried again',
    arrange: async () => {
      const server = await launching(gateway)
      await putTask(gateway, server, (task) => ({
        ...task,
        status: 'RUNNING',
        steps: task.steps.map((step, index) =>
          index === 0 ? { ...step, attempts: 3, error: 'The cloud is throttled' } : step,
        ),
      }))
      return pageOf(server)
    },
    says: [
      'Terminate previous machine: The cloud is throttled',
      'Tried 3 times so far. It is tried again by itself',
    ],
  },
  {
    name: 'a killed Redis, on a server’s page',
    arrange: async () => {
      gateway.telemetry.isAway = true
      return pageOf(await running(gateway))
    },
    says: ['Live figures are missing', 'Redis cannot be reached. Replication goes on'],
  },
  {
    name: 'a killed Redis, on the list',
    arrange: async () => {
      gateway.telemetry.isAway = true
      await running(gateway)
      gateway.pass(2000)
      return '/servers'
    },
    says: ['Live figures are missing', 'the figures come back without a reload', 'db-01'],
  },
  {
    name: 'a missing tool',
    arrange: async () =>
      failedStaging(
        gateway,
        'launch-replication-server',
        await failureOf(toolsOn('/nowhere').find('qemu-img')),
      ),
    says: [
      'The replication server cannot be launched',
      'Cannot find qemu-img in /nowhere; install it (Debian, Ubuntu: apt-get install qemu-utils)',
    ],
  },
  {
    name: 'no space for the staging volumes',
    arrange: async () =>
      failedStaging(
        gateway,
        'create-volumes',
        await failureOf(requireSpace('/', 2 ** 60, 'create volume vol-1')),
      ),
    says: [
      'The staging disks cannot be made',
      'free space there or move REHOST_DATA_DIR to a larger disk',
      'Make room in the staging area',
    ],
  },
  {
    name: 'no space for a launch',
    arrange: async () =>
      failedLaunch(gateway, await failureOf(requireSpace('/', 2 ** 60, 'make the image img-1'))),
    says: [
      'Test launch failed: Cannot make the image img-1',
      'free space there or move REHOST_DATA_DIR to a larger disk',
      'What was made for it is gone again',
      'See the report',
    ],
  },
  {
    name: 'a cutover machine that is gone when its cutover is finalized',
    arrange: () => failedFinalize(gateway, 'Machine i-1 has vanished from the qemu cloud'),
    says: [
      'The cutover is not finalized',
      'Machine i-1 has vanished from the qemu cloud.',
      'Nothing was removed, and replication goes on. Mend the cause, then finalize or launch again.',
    ],
  },
  {
    name: 'a silent agent, at first',
    arrange: async () => {
      const server = await running(gateway)
      gateway.pass(61_000)
      return pageOf(server)
    },
    says: [
      'The agent was last heard 1 min ago',
      'See on the source server whether it runs: systemctl status rehost-agent',
    ],
  },
  {
    name: 'a silent agent, once the workers have noticed',
    arrange: async () => {
      const server = await running(gateway)
      gateway.pass(61_000)
      const { store, changes } = gateway
      await watchReplication({ store, changes, clock: gateway.now } as unknown as Bench, server)
      return pageOf(server)
    },
    says: [
      'The agent is not heard',
      'The agent was last seen at 2026-03-01T12:00:00.000Z.',
      'See whether db-01 is up and reaches this service on the agent port; there: systemctl status rehost-agent.',
    ],
  },
  {
    name: 'an agent that was off for longer than its certificate lives, before the workers have noticed',
    arrange: async () => {
      const server = await running(gateway)
      gateway.pass(8 * 86_400_000)
      return pageOf(server)
    },
    says: [
      'The agent was last heard 8 d ago, and its certificate has expired',
      'It expired at 2026-03-08T12:00:00.000Z: the agent cannot come back by itself. Install the agent on db-01 again with a new command from Add server',
      'it is known as this server, which keeps its replica',
      'expired 1 d ago',
    ],
  },
  {
    name: 'an agent that was off for longer than its certificate lives',
    arrange: async () => pageOf(await offForTooLong()),
    says: [
      'The agent is not heard',
      'The agent was last seen at 2026-03-01T12:00:00.000Z, and its certificate expired at 2026-03-08T12:00:00.000Z: it cannot come back by itself.',
      'Install the agent on db-01 again with a new command from Add server',
      'it is known as this server, which keeps its replica',
    ],
  },
]

/** A server whose agent fell silent, was stalled for that, and whose certificate expired later. */
async function offForTooLong(): Promise<SourceServer> {
  const server = await running(gateway)
  const { store, changes } = gateway
  const look = async () =>
    watchReplication(
      { store, changes, clock: gateway.now } as unknown as Bench,
      await serverOf(gateway, server.sourceServerId),
    )
  gateway.pass(61_000)
  await look()
  gateway.pass(8 * 86_400_000)
  return look()
}

describe('the dashboard says what happened and what to do about', () => {
  it.each(faults)('$name', async ({ arrange, says }) => {
    const text = await textOf(gateway, await arrange())
    for (const sentence of says) expect(text).toContain(sentence)
  })
})

describe('the log keeps', () => {
  const refused = faults.flatMap(({ name, arrange, logs }) =>
    logs === undefined ? [] : [{ name, arrange, ...logs }],
  )

  it.each(refused)('the refusal of $name', async ({ arrange, message, fields }) => {
    await arrange()
    const written = refusalsIn(gateway.logged)
    expect(written).toHaveLength(1)
    expect(written[0]?.message).toMatch(/^Call on the agent port refused: /)
    expect(written[0]?.message).toContain(message)
    expect(written[0]?.fields).toMatchObject({ address: 'unknown', count: 1, ...fields })
    if (fields['kind'] === 'ENROLMENT') expect(written[0]?.fields['tokenId']).toMatch(/^tok-\w{17}$/)
    else expect(written[0]?.fields['subject']).toMatch(/^s-\w{17}$/)
  })

  it('no secret of a token, whole or torn', async () => {
    const [id = '', secret = ''] = (await gateway.installationToken(1, 60_000)).split('.')
    gateway.pass(60_001)
    for (const token of [`${id}.${secret}`, secret, `${secret}.${id}`])
      await refusedEnrolment(gateway, { token })
    expect(refusalsIn(gateway.logged).map(({ fields }) => fields['tokenId'])).toEqual([id, undefined])
    expect(gateway.logged.join()).not.toContain(secret)
    expect(JSON.stringify(gateway.services.refusals.list())).not.toContain(secret)
  })

  it('a refusal that is repeated at its first, tenth and hundredth time', async () => {
    await callWith(gateway, { notAfter: new Date('2026-02-01T00:00:00Z') })
    for (let again = 1; again < 120; again++) {
      gateway.pass(60_000)
      expect((await start(gateway)).status).toBe(401)
    }
    expect(refusalsIn(gateway.logged).map(({ fields }) => fields['count'])).toEqual([1, 10, 100])
  })

  it('a refusal anew once it was forgotten', async () => {
    await callWith(gateway, { notAfter: new Date('2026-02-01T00:00:00Z') })
    gateway.pass(16 * 60_000)
    await start(gateway)
    expect(refusalsIn(gateway.logged).map(({ fields }) => fields['count'])).toEqual([1, 1])
  })

  it('sixty lines a minute of somebody who is always somebody else, and how many were left out', async () => {
    await enrolServer(gateway, 'db-01')
    const peer = gateway.peer()
    if (peer === undefined) throw new Error('There is no certificate')
    const callAs = async (stranger: number) => {
      gateway.present({
        ...peer,
        isTrusted: false,
        uris: [agentUri(`s-${String(stranger).padStart(17, '0')}`)],
      })
      expect((await start(gateway)).status).toBe(401)
    }
    for (let stranger = 0; stranger < 100; stranger++) await callAs(stranger)
    expect(refusalsIn(gateway.logged)).toHaveLength(60)
    expect(gateway.logged).toHaveLength(61)
    expect(gateway.logged[60]).toContain('what follows in it is only counted')
    gateway.pass(60_000)
    await callAs(100)
    expect(gateway.logged[61]).toContain('40 more refusals on the agent port were not written down')
    expect(gateway.logged[62]).toContain('"subject":"s-00000000000000100"')
    expect(gateway.logged).toHaveLength(63)
  })
})

describe('an agent that was off for longer than its certificate lives', () => {
  it('is told of once on the page, and by the API', async () => {
    const server = await offForTooLong()
    const text = await textOf(gateway, pageOf(server))
    expect(text.split('cannot come back by itself. ')).toHaveLength(2)
    const response = await gateway.app.request(`/api/v1/servers/${server.sourceServerId}`, {
      headers: { authorization: `Bearer ${await gateway.apiToken()}` },
    })
    const answer = (await response.json()) as Pick<SourceServer, 'replication'>
    expect(answer.replication.error).toMatchObject({
      error: 'AGENT_NOT_SEEN',
      rawError:
        'The agent was last seen at 2026-03-01T12:00:00.000Z, and its certificate expired at 2026-03-08T12:00:00.000Z: it cannot come back by itself',
      whatToDo: expect.stringMatching(/^Install the agent on db-01 again/) as string,
    })
  })

  it('is the same server with its replica once it is installed again', async () => {
    const { sourceServerId, disks } = await offForTooLong()
    const again = await enrolServer(gateway, 'db-01')
    expect(again.sourceServerId).toBe(sourceServerId)
    expect(again.disks).toEqual(disks)
    expect(again.disks[0]?.volumeId).toBe('vol-00000000000000001')
    expect((await start(gateway)).status).toBe(200)
    const text = await textOf(gateway, pageOf(again))
    expect(text).not.toContain('certificate has expired')
    expect(text).toContain('; renewed by itself')
  })
})

describe('a disk that became smaller', () => {
  it('is told to the agent too, for its log', async () => {
    await withDisks(gateway, (disk) => ({ ...disk, sizeBytes: Math.min(disk.sizeBytes, 4096) }))
    const [server] = (await gateway.store.list('server')).items
    const body = heartbeat(server?.value.agent.generation ?? 0)
    const response = await callAgentPort(gateway, '/agent/v1/heartbeat', body)
    const { mode, obstacle } = agentDesiredSchema.parse(await response.json())
    expect(mode).toBe('IDLE')
    expect(obstacle?.reason).toMatch(/^Disk .* is smaller than before: 4096 bytes, was 3221225472$/)
    expect(obstacle?.whatToDo).toContain('Check that it is the same disk')
  })
})

describe('refusals', () => {
  it('are over once the agent is let in for a minute', async () => {
    const server = await callWith(gateway, { notAfter: new Date('2026-02-01T00:00:00Z') })
    gateway.pass(30_000)
    await enrolServer(gateway, 'db-01')
    expect((await start(gateway)).status).toBe(200)
    const said = 'A call of the agent'
    expect(await textOf(gateway, pageOf(server))).toContain(said)
    gateway.pass(31_000)
    await callAgentPort(gateway, '/agent/v1/heartbeat', heartbeat(1))
    expect(await textOf(gateway, pageOf(server))).not.toContain(said)
  })

  it('of scanners without token or certificate are neither remembered nor logged', async () => {
    gateway.present(undefined)
    await start(gateway)
    await callAgentPort(gateway, '/agent/v1/enrol', { hello: 'world' })
    expect(gateway.services.refusals.list()).toEqual([])
    expect(gateway.logged).toEqual([])
  })
})
