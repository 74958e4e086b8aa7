import {
  ConflictException,
  DeleteSourceServerCommand,
  DescribeSourceServersCommand,
  DisconnectFromServiceCommand,
  ListApplicationsCommand,
  ListImportErrorsCommand,
  MarkAsArchivedCommand,
  StartExportCommand,
  StartImportCommand,
  StartReplicationCommand,
  StartTestCommand,
  TagResourceCommand,
} from '@aws-sdk/client-mgn'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../../domain/source_server.ts'
import { standardQuotas } from '../../../../gateway/mgn/account.ts'
import { awaitServer } from '../../../../gateway/awaited_servers.ts'
import { enrolledSchema } from '../../../../wire/control_api.ts'
import { mutate } from '../../../../store/mutate.ts'
import { callAgentPort, enrolment, getPage, inventory, problemOf, serverOf } from '../callers.ts'
import { refusalsIn } from '../support.ts'
import { everyOrder } from './interleaving.ts'
import type { MgnService } from './mgn_service.ts'
import { mgnService, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

async function importOf(text: string) {
  const place = { bucket: 'plans', key: 'plan.csv' }
  await service.gateway.services.files.write(place, Buffer.from(text))
  const start = new StartImportCommand({ s3BucketSource: { s3Bucket: 'plans', s3Key: 'plan.csv' } })
  const { importTask } = await service.client.send(start)
  const { importID } = importTask ?? {}
  const { items = [] } = await service.client.send(new ListImportErrorsCommand({ importID }))
  const errors = items.map(({ errorType, errorData }) => [
    errorType,
    errorData?.rowNumber,
    errorData?.rawError,
  ])
  return { task: importTask, errors }
}

/** Imports a plan in which nothing is wrong. */
async function imported(text: string) {
  const { task, errors } = await importOf(text)
  expect(errors).toEqual([])
  expect(task?.status).toBe('SUCCEEDED')
  return task
}

const shown = async () => (await service.client.send(new DescribeSourceServersCommand({}))).items ?? []
const stored = async () => (await service.gateway.store.list('server')).items.map(({ value }) => value)

/** The only server there is. */
async function only(): Promise<SourceServer> {
  const servers = await stored()
  expect(servers).toHaveLength(1)
  return servers[0] as SourceServer
}

/** An agent enrols on a machine with a name of its own; the server that it is told to be. */
async function enrol(hostname: string, overrides: Record<string, unknown> = {}): Promise<SourceServer> {
  const body = await enrolment(service.gateway, { sourceProperties: inventory(hostname), ...overrides })
  const response = await callAgentPort(service.gateway, '/agent/v1/enrol', body)
  expect(response.status).toBe(200)
  return serverOf(service.gateway, enrolledSchema.parse(await response.json()).subjectId)
}

/** What the API tells of the server's agent, in the list and by itself. */
async function agentsInApi(id: string): Promise<unknown[]> {
  const authorization = `Bearer ${await service.gateway.apiToken('viewer')}`
  const get = async (path: string): Promise<unknown> => {
    const response = await service.gateway.app.request(`/api/v1${path}`, { headers: { authorization } })
    expect(response.status).toBe(200)
    return response.json()
  }
  const { items } = (await get('/servers')) as { items: { agent: unknown }[] }
  const { agent } = (await get(`/servers/${id}`)) as { agent: unknown }
  return [...items.map((server) => server.agent), agent]
}

const header = 'mgn:server:user-provided-id,mgn:server:fqdn-for-action-framework'

describe('an import of a server that has no agent yet', () => {
  it('makes a server that waits for it, with all that the row says', async () => {
    const text =
      `${header},mgn:app:name,mgn:wave:name,mgn:server:platform,mgn:server:tag:owner,mgn:launch:transfer-server-tags\n` +
      'shop-1,Web.example.test,shop,first,linux,anna,TRUE\n'
    const task = await imported(text)
    expect(task?.summary?.servers).toEqual({ createdCount: 1, modifiedCount: 0 })
    const { items: applications = [] } = await service.client.send(new ListApplicationsCommand({}))
    const [server] = await shown()
    expect(server).toMatchObject({
      sourceServerID: expect.stringMatching(/^s-[0-9a-zA-Z]{17}$/),
      isArchived: false,
      userProvidedID: 'shop-1',
      fqdnForActionFramework: 'Web.example.test',
      applicationID: applications[0]?.applicationID,
      tags: { owner: 'anna' },
      lifeCycle: { state: 'PENDING_INSTALLATION', addedToServiceDateTime: expect.any(String) },
      dataReplicationInfo: { dataReplicationState: 'STOPPED', replicatedDisks: [] },
    })
    expect(server?.lifeCycle?.lastSeenByServiceDateTime).toBeUndefined()
    expect(server?.dataReplicationInfo?.lagDuration).toBeUndefined()
    expect(server?.sourceProperties).toEqual({
      lastUpdatedDateTime: expect.any(String),
      identificationHints: { fqdn: 'Web.example.test' },
    })
    expect((await only()).launchConfiguration.copyTags).toBe(true)
    expect((await imported(text))?.summary?.servers).toEqual({ createdCount: 0, modifiedCount: 0 })
    await only()
  })

  it('comes back from an export as it was', async () => {
    await imported(`${header},mgn:server:platform\nshop-1,web.example.test,windows\n`)
    await service.client.send(new StartExportCommand({ s3Bucket: 'plans', s3Key: 'out.csv' }))
    const text = await readFile(join(service.gateway.folder, 'files/plans/out.csv'), 'utf8')
    expect(text).toContain(',shop-1,windows,web.example.test')
    expect((await imported(text))?.summary?.servers).toEqual({ createdCount: 0, modifiedCount: 0 })
  })

  it('corrects the platform while the agent is awaited', async () => {
    const rows = (platform: string) => `${header},mgn:server:platform\nshop-1,,${platform}\n`
    await imported(rows('linux'))
    expect((await imported(rows('Windows')))?.summary?.servers).toEqual({ createdCount: 0, modifiedCount: 1 })
    expect((await only()).sourceProperties.os).toEqual({ fullString: '', family: 'windows' })
    // The same once more, and a row that does not say, change nothing.
    expect((await imported(rows('windows')))?.summary?.servers?.modifiedCount).toBe(0)
    expect((await imported(rows('')))?.summary?.servers?.modifiedCount).toBe(0)
    expect((await only()).sourceProperties.os.family).toBe('windows')
  })

  it('keeps the platform of an agent that comes while the rows are taken', async () => {
    await imported(`${header}\nshop-1,\n`)
    const { store } = service.gateway
    const create = store.create.bind(store)
    // The application of the row is made after the rows are looked at and before its server is changed.
    store.create = async (kind, key, value) => {
      if (kind === 'application') {
        store.create = create
        await enrol('web-1', { userProvidedId: 'shop-1' })
      }
      return create(kind, key, value)
    }
    const { task, errors } = await importOf(
      `${header},mgn:app:name,mgn:server:platform\nshop-1,,shop,windows\n`,
    )
    const { sourceServerId, sourceProperties } = await only()
    expect(task?.status).toBe('FAILED')
    expect(errors).toEqual([
      [
        'PROCESSING_ERROR',
        2,
        `the platform of server ${sourceServerId} is what its agent reports, linux, not windows: leave mgn:server:platform empty or as it is; import the file again`,
      ],
    ])
    expect(sourceProperties).toEqual(inventory('web-1'))
  })

  it('is seen in the dashboard, which says what is awaited', async () => {
    await imported(`${header}\nshop-1,web.example.test\n`)
    const { sourceServerId } = await only()
    service.gateway.pass(3_600_000)
    const cookie = await service.gateway.signIn()
    const list = await (await getPage(service.gateway, '/servers', cookie)).text()
    expect(list).toContain('Imported, waiting for its agent')
    expect(list).toContain('web.example.test')
    expect(list).toContain('shop-1')
    expect(list).not.toContain('0 disks')
    const page = await getPage(service.gateway, `/servers/${sourceServerId}`, cookie)
    expect(page.status).toBe(200)
    const text = await page.text()
    expect(text).toContain('Imported, waiting for its agent')
    expect(text).toContain('not yet: install it with --user-provided-id shop-1')
    for (const unknown of ['0 cores', '0 MiB', 'expired']) expect(text).not.toContain(unknown)
    // Nobody is silent who has never spoken.
    expect(await (await getPage(service.gateway, '/servers?view=attention', cookie)).text()).not.toContain(
      sourceServerId,
    )
  })

  it('refuses what needs an agent, and is tagged, archived and deleted like others', async () => {
    await imported('mgn:server:user-provided-id\none\ntwo\n')
    const [one, two] = await shown()
    const refused = [
      new StartReplicationCommand({ sourceServerID: one?.sourceServerID }),
      new StartTestCommand({ sourceServerIDs: [one?.sourceServerID ?? ''] }),
    ]
    for (const command of refused) {
      const error = await refusalOf(service.client.send(command as StartReplicationCommand))
      expect(error).toBeInstanceOf(ConflictException)
      expect((error as Error).message).toContain('imported and is waiting for its agent: install that first')
    }
    await service.client.send(new TagResourceCommand({ resourceArn: one?.arn, tags: { a: 'b' } }))
    expect((await shown())[0]?.tags).toEqual({ a: 'b' })
    const archive = new MarkAsArchivedCommand({ sourceServerID: one?.sourceServerID })
    expect((await service.client.send(archive)).isArchived).toBe(true)
    await service.client.send(new DeleteSourceServerCommand({ sourceServerID: two?.sourceServerID }))
    expect((await serverOf(service.gateway, two?.sourceServerID ?? '')).activeTask?.kind).toBe('DELETE')
  })

  it('is not disconnected, and waits for its agent as before', async () => {
    await imported('mgn:server:user-provided-id\nshop-1\n')
    const awaited = await only()
    const { sourceServerId } = awaited
    const because =
      'This server was imported and is waiting for its agent, which is not installed: there is nothing to disconnect. Delete the server, or install its agent'
    const command = new DisconnectFromServiceCommand({ sourceServerID: sourceServerId })
    const error = await refusalOf(service.client.send(command))
    expect(error).toBeInstanceOf(ConflictException)
    expect((error as Error).message).toContain(because)
    const cookie = await service.gateway.signIn()
    const page = await (await getPage(service.gateway, `/servers/${sourceServerId}`, cookie)).text()
    expect(page).toContain(because)
    expect(page).not.toContain(`/servers/${sourceServerId}/actions/disconnect`)
    expect(page).toContain(`/servers/${sourceServerId}/actions/delete`)
    expect(await only()).toEqual(awaited)
    expect((await enrol('web-1', { userProvidedId: 'shop-1' })).sourceServerId).toBe(sourceServerId)
    await only()
  })

  it('tells of no version and no certificate of an agent until there is one', async () => {
    await imported('mgn:server:user-provided-id\nshop-1\n')
    const { sourceServerId } = await only()
    const [list, one] = await agentsInApi(sourceServerId)
    expect(list).toEqual({ generation: 0, desired: 'REPLICATE' })
    expect(one).toEqual(list)
    const { agent } = await enrol('web-1', { userProvidedId: 'shop-1' })
    expect(agent.certificateSerial).toMatch(/./)
    expect(await agentsInApi(sourceServerId)).toEqual([agent, agent])
  })

  it.each([
    ['mgn:server:platform\none,plan9', 'mgn:server:platform is linux or windows, not plan9'],
    [
      'mgn:server:fqdn-for-action-framework\none,a b',
      'mgn:server:fqdn-for-action-framework is no name of a host: a b',
    ],
    [
      'mgn:launch:transfer-server-tags\none,maybe',
      'mgn:launch:transfer-server-tags is true or false, not maybe',
    ],
    [
      `mgn:app:name\n${'x'.repeat(257)},shop`,
      'mgn:server:user-provided-id has at most 256 characters and no space around it',
    ],
    [
      'mgn:server:tag:a\n,b',
      'mgn:server:tag:a is of a server and needs mgn:server:id or mgn:server:user-provided-id',
    ],
  ])('is refused with a wrong cell: %s', async (text, words) => {
    const { task, errors } = await importOf(`mgn:server:user-provided-id,${text}\n`)
    expect(task?.status).toBe('FAILED')
    expect(errors).toEqual([['VALIDATION_ERROR', 2, words]])
    expect(await stored()).toEqual([])
  })

  it('does not change an id that a server has, nor guess which of two is meant', async () => {
    const one = await enrol('one', { userProvidedId: 'cmdb-1' })
    await enrol('two', { userProvidedId: 'cmdb-1' })
    const { errors } = await importOf(
      `mgn:server:id,mgn:server:user-provided-id\n${one.sourceServerId},other\n,cmdb-1\n`,
    )
    expect(errors).toEqual([
      [
        'VALIDATION_ERROR',
        2,
        `server ${one.sourceServerId} has your id cmdb-1, which stays so: it is not other`,
      ],
      ['VALIDATION_ERROR', 3, expect.stringMatching(/^s-\w+ and s-\w+ have the id cmdb-1: name one/)],
    ])
  })
})

describe('an agent', () => {
  const agentOf = ({ agent, disks }: SourceServer) => [agent.certificateSerial !== '', disks.length]

  it('with the id of an awaited server becomes that server, which keeps what the import said', async () => {
    await imported(`${header},mgn:app:name,mgn:server:tag:owner\nshop-1,,shop,anna\n`)
    const awaited = await only()
    const server = await enrol('web-1', { userProvidedId: 'shop-1', tags: { owner: 'me', rack: '7' } })
    expect(await only()).toEqual(server)
    expect(server).toMatchObject({
      sourceServerId: awaited.sourceServerId,
      applicationId: awaited.applicationId,
      userProvidedId: 'shop-1',
      tags: { owner: 'anna', rack: '7', Name: 'web-1' },
      lifecycle: { state: 'NOT_READY', addedToServiceAt: awaited.lifecycle.addedToServiceAt },
      launchConfiguration: { name: 'web-1' },
      sourceProperties: inventory('web-1'),
      activeTask: { kind: 'STAGING' },
    })
    expect(agentOf(server)).toEqual([true, 1])
    expect(server.outbox.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        'Lifecycle PENDING_INSTALLATION → NOT_READY',
        'Agent 0.1.0 enrolled on web-1, which was awaited',
        'Disk /dev/sr0 is left out: It is removable',
      ]),
    )
    expect(service.gateway.wakeUps.added).toEqual([{ queue: 'staging', taskId: server.activeTask?.taskId }])
    // The row says the same of the server as before.
    expect((await imported(`${header}\nshop-1,\n`))?.summary?.servers?.modifiedCount).toBe(0)
  })

  it.each([
    ['its full name', 'web-1', 'WEB-1.example.test.'],
    ['the name of its host, where that is all that was imported', 'web-1', 'web-1'],
  ])('without an id is known by %s', async (_name, hostname, fqdn) => {
    await imported(`${header}\nshop-1,${fqdn}\nshop-2,other.example.test\n`)
    const awaited = (await stored()).find(({ userProvidedId }) => userProvidedId === 'shop-1')
    expect((await enrol(hostname)).sourceServerId).toBe(awaited?.sourceServerId)
    expect(await stored()).toHaveLength(2)
  })

  it.each([
    ['another id, whatever its name is', { userProvidedId: 'shop-9' }, 'web-1.example.test'],
    ['the same name in another domain', {}, 'web-1.example.com'],
    ['no name that tells it from others', { sourceProperties: inventory('localhost') }, 'localhost'],
  ])('with %s is a server of its own', async (_name, overrides, fqdn) => {
    await imported(`${header}\nshop-1,${fqdn}\n`)
    const awaited = await only()
    const server = await enrol('web-1', overrides)
    expect(server.sourceServerId).not.toBe(awaited.sourceServerId)
    expect(await serverOf(service.gateway, awaited.sourceServerId)).toEqual(awaited)
  })

  it('whose name is awaited twice is a server of its own, and says why', async () => {
    await imported(`${header}\nshop-1,web-1.example.test\nshop-2,web-1.example.test\n`)
    const server = await enrol('web-1')
    expect(server.userProvidedId).toBeUndefined()
    expect(server.outbox).toContainEqual(
      expect.objectContaining({
        level: 'WARNING',
        message: expect.stringMatching(/^Agents of s-\w+, s-\w+ are awaited/),
      }),
    )
    // Told its id, the next one is known.
    expect((await enrol('web-1b', { userProvidedId: 'shop-2' })).userProvidedId).toBe('shop-2')
    expect(await stored()).toHaveLength(3)
  })

  it('is known by a name that was imported a moment ago, however old the list of a large fleet is', async () => {
    const { fleet } = service.gateway.services
    fleet.list = () => Promise.resolve([])
    await imported(`${header}\nshop-1,web-1.example.test\nshop-2,\n`)
    expect((await enrol('web-1')).userProvidedId).toBe('shop-1')
    // The name may come with a later import.
    await imported(`${header}\nshop-2,web-22.example.test\n`)
    expect((await enrol('web-22')).userProvidedId).toBe('shop-2')
    expect(await stored()).toHaveLength(2)
  })

  it('does not take the one of two with its name that the list of a large fleet has already', async () => {
    await imported(`${header}\nshop-1,web-1.example.test\n`)
    const held = await stored()
    service.gateway.services.fleet.list = () => Promise.resolve(held)
    await imported(`${header}\nshop-2,web-1.example.test\n`)
    const ids = (await stored()).map(({ sourceServerId }) => sourceServerId)
    expect(ids).not.toContain((await enrol('web-1')).sourceServerId)
    expect(await stored()).toHaveLength(3)
  })

  it('is not taken for a server that was given the name of another host while it enrolled', async () => {
    await imported(`${header}\nshop-1,web-1.example.test\n`)
    const { store } = service.gateway
    const { sourceServerId: id } = await only()
    const token = await service.gateway.installationToken()
    const replace = store.replace.bind(store)
    store.replace = async (kind, key, revision, value) => {
      // The use of the token is taken right before the server is written.
      if (kind === 'token') {
        store.replace = replace
        await mutate(store, 'server', { id }, (server) => ({
          ...server,
          fqdnForActionFramework: 'web-9.example.test',
        }))
      }
      return replace(kind, key, revision, value)
    }
    const body = await enrolment(service.gateway, { token, sourceProperties: inventory('web-1') })
    const refused = await callAgentPort(service.gateway, '/agent/v1/enrol', body)
    expect([refused.status, (await problemOf(refused)).detail]).toEqual([
      409,
      `Server ${id} was changed while this machine enrolled; try again`,
    ])
    expect((await only()).lifecycle.state).toBe('PENDING_INSTALLATION')
    // Its token is as good as before.
    expect((await enrol('web-1', { token })).sourceServerId).not.toBe(id)
  })

  it('with the id of another machine, or of an archived server, is a server of its own, and says why', async () => {
    await imported('mgn:server:user-provided-id\nshop-1\nshop-2\n')
    const first = await enrol('web-1', { userProvidedId: 'shop-1' })
    const second = await enrol('web-22', { userProvidedId: 'shop-1' })
    expect(second.sourceServerId).not.toBe(first.sourceServerId)
    expect(second.outbox.map(({ message }) => message)).toContain(
      `The id shop-1 is that of server ${first.sourceServerId} already, which is another machine; this one is a server of its own`,
    )
    const archived = (await stored()).find(({ userProvidedId }) => userProvidedId === 'shop-2')
    await service.client.send(new MarkAsArchivedCommand({ sourceServerID: archived?.sourceServerId }))
    expect((await enrol('web-333', { userProvidedId: 'shop-2' })).sourceServerId).not.toBe(
      archived?.sourceServerId,
    )
  })

  it('of the machine that a server is already stays that server, whoever is awaited under its name', async () => {
    const server = await enrol('web-1')
    await imported(`${header}\nshop-1,web-1.example.test\n`)
    service.gateway.pass(120_000)
    expect((await enrol('web-1')).sourceServerId).toBe(server.sourceServerId)
    expect(await stored()).toHaveLength(2)
  })

  it('is known by its id without the space around it, and refused with nothing else', async () => {
    await imported('mgn:server:user-provided-id\nshop-1\n')
    const awaited = await only()
    const body = await enrolment(service.gateway, { userProvidedId: ' ' })
    const refused = await callAgentPort(service.gateway, '/agent/v1/enrol', body)
    expect([refused.status, (await problemOf(refused)).detail]).toEqual([
      400,
      expect.stringContaining('userProvidedId'),
    ])
    const server = await enrol('web-1', { userProvidedId: ' shop-1\n' })
    expect([server.sourceServerId, server.userProvidedId]).toEqual([awaited.sourceServerId, 'shop-1'])
  })

  it('of the machine that a server is already is refused with the id of an awaited one, and told what to do', async () => {
    const known = await enrol('web-1')
    await imported('mgn:server:user-provided-id\nshop-1\n')
    const awaited = (await stored()).find(({ userProvidedId }) => userProvidedId === 'shop-1')
    service.gateway.pass(120_000)
    const body = await enrolment(service.gateway, {
      sourceProperties: inventory('web-1'),
      userProvidedId: 'shop-1',
    })
    const refused = await callAgentPort(service.gateway, '/agent/v1/enrol', body)
    const { detail } = await problemOf(refused)
    expect([refused.status, detail]).toEqual([
      409,
      `This machine is server ${known.sourceServerId} already, and server ${awaited?.sourceServerId} is awaited under the id shop-1: it is not known which one you mean. ` +
        `To go on as ${known.sourceServerId}, enrol without --user-provided-id; to begin anew as ${awaited?.sourceServerId}, disconnect and archive ${known.sourceServerId} first`,
    ])
    expect(refusalsIn(service.gateway.logged).map(({ message }) => message)).toContainEqual(
      expect.stringContaining(detail),
    )
    for (const { sourceServerId, agent } of [known, awaited as SourceServer])
      expect((await serverOf(service.gateway, sourceServerId)).agent).toEqual(agent)
    expect((await enrol('web-1')).sourceServerId).toBe(known.sourceServerId)
  })

  it('of the machine that a server is already says which ids are not taken over, and keeps its own', async () => {
    const known = await enrol('web-1', { userProvidedId: 'cmdb-1' })
    const other = await enrol('web-22', { userProvidedId: 'cmdb-2' })
    const warnings = async (userProvidedId: string) => {
      service.gateway.pass(120_000)
      const { sourceServerId, outbox } = await enrol('web-1', { userProvidedId })
      expect(sourceServerId).toBe(known.sourceServerId)
      return outbox.filter(({ level }) => level === 'WARNING').map(({ message }) => message)
    }
    const stays = `The machine stays server ${known.sourceServerId}, which has the id cmdb-1`
    const told = [
      `The id cmdb-2 that the agent was given is that of server ${other.sourceServerId}. ${stays}`,
      `The id cmdb-9 that the agent was given is not taken over. ${stays}`,
    ]
    expect(await warnings('cmdb-1')).toEqual([])
    expect(await warnings('cmdb-2')).toEqual(told.slice(0, 1))
    expect(await warnings('cmdb-9')).toEqual(told)
  })

  it('that cannot enrol leaves the awaited server as it was, and its token', async () => {
    await imported('mgn:server:user-provided-id\nshop-1\n')
    const awaited = await only()
    const token = await service.gateway.installationToken()
    const body = await enrolment(service.gateway, { token, userProvidedId: 'shop-1', csrPem: 'hello' })
    expect((await callAgentPort(service.gateway, '/agent/v1/enrol', body)).status).toBe(422)
    expect(await only()).toEqual(awaited)
    expect((await enrol('web-1', { token, userProvidedId: 'shop-1' })).sourceServerId).toBe(
      awaited.sourceServerId,
    )
  })
})

describe('one id', () => {
  const await1 = { actor: 'test' }

  it('is one server, in whatever order two imports make it', async () => {
    const { services, store } = service.gateway
    let number = 0
    const orders = await everyOrder(store, {
      begin: () => Promise.resolve(`id ${number++}`),
      one: (own, id) => awaitServer({ ...services, store: own }, id, await1),
      other: (own, id) => awaitServer({ ...services, store: own }, id, await1),
      check: async (id, ...ended) => {
        const [one, other, order] = ended
        const servers = (await stored()).filter(({ userProvidedId }) => userProvidedId === id)
        expect(servers, order).toHaveLength(1)
        for (const { value, error } of [one, other])
          if (error === undefined) expect(value).toMatchObject({ server: servers[0] })
          else expect((error as Error).message).toMatch(/is being added at this moment; try again/)
      },
    })
    expect(orders).toBeGreaterThan(20)
  })

  it('is one server, too, when an agent was so slow that an import was given it meanwhile', async () => {
    const { gateway } = service
    const { services, store } = gateway
    const create = store.create.bind(store)
    store.create = async (kind, key, value) => {
      if (kind !== 'server') return create(kind, key, value)
      store.create = create
      gateway.pass(60_001)
      await awaitServer(services, 'shop-1', await1)
      return create(kind, key, value)
    }
    const body = await enrolment(gateway, { userProvidedId: 'shop-1' })
    const refused = await callAgentPort(gateway, '/agent/v1/enrol', body)
    expect(refused.status).toBe(409)
    expect((await stored()).map(({ lifecycle }) => lifecycle.state)).toEqual(['PENDING_INSTALLATION'])
    expect((await enrol('web-1', { userProvidedId: 'shop-1' })).sourceServerId).toBe(
      (await only()).sourceServerId,
    )
  })

  it('of one that died before it made the server is free again after a minute', async () => {
    const { services, store } = service.gateway
    const create = store.create.bind(store)
    store.create = (kind, key, value) => {
      if (kind === 'server') throw new Error('Died')
      return create(kind, key, value)
    }
    await expect(awaitServer(services, 'shop-1', await1)).rejects.toThrow('Died')
    store.create = create
    await expect(awaitServer(services, 'shop-1', await1)).rejects.toThrow(/being added at this moment/)
    const body = await enrolment(service.gateway, { userProvidedId: 'shop-1' })
    const refused = await callAgentPort(service.gateway, '/agent/v1/enrol', body)
    expect((await problemOf(refused)).detail).toMatch(/being added at this moment/)
    // The refusal does not use up the token.
    const token = String(body['token']).split('.')[0] ?? ''
    expect((await store.get('token', { id: token }))?.value.usesLeft).toBe(1)
    service.gateway.pass(60_000)
    expect((await awaitServer(services, 'shop-1', await1)).isNew).toBe(true)
    await only()
  })

  it('of one who was away for so long that it went to another makes no second server', async () => {
    const { services, store } = service.gateway
    const create = store.create.bind(store)
    let later: Promise<unknown> = Promise.resolve()
    store.create = async (kind, key, value) => {
      if (kind === 'server') {
        store.create = create
        service.gateway.pass(61_000)
        later = awaitServer(services, 'shop-1', await1)
        await later
      }
      return create(kind, key, value)
    }
    await expect(awaitServer(services, 'shop-1', await1)).rejects.toThrow(/being added at this moment/)
    expect(await later).toMatchObject({ isNew: true, server: await only() })
  })
})

describe('limits', () => {
  const limit = (quotas: Partial<typeof standardQuotas>) => {
    const { services } = service.gateway
    services.account = { ...services.account, quotas: { ...standardQuotas, ...quotas } }
  }

  it('of servers, applications and waves hold for an import, row by row', async () => {
    limit({ servers: 2, applications: 1, waves: 1 })
    await readyServer(service)
    const { task, errors } = await importOf(
      'mgn:wave:name,mgn:app:name,mgn:server:user-provided-id\nw1,a1,s1\nw1,a1,s1\nw2,a2,s2\n',
    )
    expect(task?.status).toBe('FAILED')
    expect(errors).toEqual([
      ['VALIDATION_ERROR', 4, 'w2 would be one more than the limit of waves, 1'],
      ['VALIDATION_ERROR', 4, 'a2 would be one more than the limit of applications, 1'],
      ['VALIDATION_ERROR', 4, 's2 would be one more than the limit of servers, 2'],
    ])
    expect(await stored()).toHaveLength(1)
    await imported('mgn:wave:name,mgn:app:name,mgn:server:user-provided-id\nw1,a1,s1\n')
  })

  it('of tags hold for the sum of what there is and what rows add', async () => {
    const { sourceServerId } = await readyServer(service)
    const columns = (from: number, count: number, thing: string) =>
      Array.from({ length: count }, (_, index) => `mgn:${thing}:tag:k${from + index}`)
    const filled = (count: number) => Array.from({ length: count }, () => 'v').join(',')
    // The server has its name as a tag.
    await imported(`mgn:server:id,${columns(0, 49, 'server').join(',')}\n${sourceServerId},${filled(49)}\n`)
    const one = await importOf(`mgn:server:id,mgn:server:tag:more\n${sourceServerId},v\n`)
    expect(one.errors).toEqual([
      [
        'VALIDATION_ERROR',
        2,
        `${sourceServerId} would have 51 tags with those that it has; at most 50 are allowed`,
      ],
    ])
    const two = await importOf(
      `mgn:app:name,${[...columns(0, 30, 'app'), ...columns(30, 30, 'app')].join(',')}\n` +
        `shop,${filled(30)}${','.repeat(30)}\nshop,${','.repeat(29)},${filled(30)}\n`,
    )
    expect(two.errors).toEqual([
      ['VALIDATION_ERROR', 3, 'shop would have 60 tags with those that it has; at most 50 are allowed'],
    ])
    expect((await service.client.send(new ListApplicationsCommand({}))).items).toEqual([])
  })
})
