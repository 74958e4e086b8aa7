import {
  AssociateApplicationsCommand,
  AssociateSourceServersCommand,
  CreateApplicationCommand,
  CreateWaveCommand,
  ListApplicationsCommand,
  ListWavesCommand,
} from '@aws-sdk/client-mgn'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Application, Wave } from '../../../../domain/application.ts'
import type { ApplicationId, WaveId } from '../../../../domain/ids.ts'
import {
  deleteApplication,
  deleteWave,
  joinApplication,
  joinWave,
  leaveApplication,
  mendMemberships,
  noteMember,
} from '../../../../gateway/mgn/memberships.ts'
import { createGroup } from '../../../../gateway/mgn/groups.ts'
import { ConflictError, NotFoundError } from '../../../../domain/errors.ts'
import { newId } from '../../../../domain/ids.ts'
import type { Store } from '../../../../store/store.ts'
import { putServer, serverOf } from '../callers.ts'
import { everyOrder } from './interleaving.ts'
import type { MgnService } from './mgn_service.ts'
import { mgnService, readyServer } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

const group = {
  name: 'shop',
  description: '',
  isArchived: false,
  createdAt: '2026-03-01T12:00:00.000Z',
  lastModifiedAt: '2026-03-01T12:00:00.000Z',
  tags: {},
}

async function newApplication(waveId?: WaveId): Promise<Application> {
  const application: Application = {
    applicationId: newId('application'),
    ...group,
    ...(waveId === undefined ? {} : { waveId }),
  }
  await service.gateway.store.create('application', { id: application.applicationId }, application)
  return application
}

async function newWave(): Promise<Wave> {
  const wave: Wave = { waveId: newId('wave'), ...group }
  await service.gateway.store.create('wave', { id: wave.waveId }, wave)
  return wave
}

it.each([
  [
    'application',
    (store: Store) => createGroup(store, 'application', { applicationId: newId('application'), ...group }),
  ],
  ['wave', (store: Store) => createGroup(store, 'wave', { waveId: newId('wave'), ...group })],
] as const)('no two of one name are made at the same moment: %s', async (kind, make) => {
  const { store } = service.gateway
  let alone = 0
  const orders = await everyOrder(store, {
    begin: async () => {
      for (const { value } of (await store.list(kind)).items)
        await store.remove(kind, { id: 'applicationId' in value ? value.applicationId : value.waveId })
    },
    one: make,
    other: make,
    check: async (_none, one, other, order) => {
      const refused = [one, other].filter(({ error }) => error !== undefined)
      for (const { error } of refused) expect(error, order).toBeInstanceOf(ConflictError)
      expect(refused.length, order).toBeGreaterThan(0)
      expect((await store.list(kind)).items, order).toHaveLength(2 - refused.length)
      alone += 2 - refused.length
    },
  })
  expect(alone).toBeGreaterThan(0)
  expect(orders).toBeGreaterThan(alone)
})

describe('a group that one gateway deletes while another gives it a member', () => {
  it('stays with its member or goes without it: an application', async () => {
    const { services, store } = service.gateway
    const { sourceServerId } = await readyServer(service)
    let stayed = 0
    const orders = await everyOrder(store, {
      begin: async () => {
        await putServer(service.gateway, sourceServerId, ({ applicationId: _none, ...server }) => server)
        return newApplication()
      },
      one: (own, { applicationId }) => deleteApplication({ ...services, store: own }, applicationId),
      other: (own, application) =>
        joinApplication({ ...services, store: own }, [sourceServerId], application, 'test'),
      check: async ({ applicationId }, deleted, joined, order) => {
        const isThere = (await store.get('application', { id: applicationId })) !== undefined
        const member = (await serverOf(service.gateway, sourceServerId)).applicationId
        expect(member, order).toBe(isThere ? applicationId : undefined)
        if (isThere) expect(deleted.error, order).toBeInstanceOf(ConflictError)
        else expect(joined.error, order).toBeInstanceOf(NotFoundError)
        expect([deleted, joined].filter(({ error }) => error === undefined)).toHaveLength(1)
        if (isThere) stayed += 1
      },
    })
    expect(stayed).toBeGreaterThan(0)
    expect(orders - stayed).toBeGreaterThan(0)
    expect(orders).toBeGreaterThan(20)
  })

  it('stays with its member or goes without it: a wave', async () => {
    const { services, store } = service.gateway
    let stayed = 0
    const orders = await everyOrder(store, {
      begin: async () => ({ wave: await newWave(), application: await newApplication() }),
      one: (own, { wave: { waveId } }) => deleteWave({ ...services, store: own }, waveId),
      other: (own, { wave, application: { applicationId } }) =>
        joinWave({ ...services, store: own }, [applicationId], wave),
      check: async ({ wave: { waveId }, application: { applicationId } }, deleted, joined, order) => {
        const isThere = (await store.get('wave', { id: waveId })) !== undefined
        const member = (await store.get('application', { id: applicationId }))?.value.waveId
        expect(member, order).toBe(isThere ? waveId : undefined)
        if (isThere) expect(deleted.error, order).toBeInstanceOf(ConflictError)
        else expect(joined.error, order).toBeInstanceOf(NotFoundError)
        if (isThere) stayed += 1
      },
    })
    expect(stayed).toBeGreaterThan(0)
    expect(orders - stayed).toBeGreaterThan(0)
  })

  it('is not deleted with a member that was written while a held list was older', async () => {
    const { services, store } = service.gateway
    const { sourceServerId } = await readyServer(service)
    const { applicationId } = await newApplication()
    await services.fleet.list()
    const found = await store.get('server', { id: sourceServerId })
    // Another gateway's writes, whose notice has not come.
    await noteMember(store, applicationId, sourceServerId)
    if (found !== undefined)
      await store.replace('server', { id: sourceServerId }, found.revision, { ...found.value, applicationId })
    await expect(deleteApplication(services, applicationId)).rejects.toThrow(
      `Application ${applicationId} has servers, ${sourceServerId} for one; disassociate them first`,
    )
  })

  it('is deleted without reading servers that were never part of it, and leaves nothing behind', async () => {
    const { services, store } = service.gateway
    const { sourceServerId } = await readyServer(service)
    await readyServer(service, 'other')
    const [application, another] = [await newApplication(), await newApplication()]
    await joinApplication(services, [sourceServerId], application, 'test')
    await leaveApplication(services, [sourceServerId], application.applicationId, 'test')
    await joinApplication(services, [sourceServerId], another, 'test')
    const [list, get] = [vi.spyOn(store, 'list'), vi.spyOn(store, 'get')]
    await deleteApplication(services, application.applicationId)
    expect(list.mock.calls.map(([kind]) => kind)).not.toContain('server')
    const read = get.mock.calls.filter(([kind]) => kind === 'server').map(([, { id }]) => id)
    expect(read).toEqual([sourceServerId])
    const { items } = await store.list('applicationMember')
    expect(items.map(({ value }) => value)).toEqual([{ sourceServerId }])
    expect((await serverOf(service.gateway, sourceServerId)).applicationId).toBe(another.applicationId)
  })
})

describe('two groups that are given the same member at once', () => {
  it('share no application', async () => {
    const { services, store } = service.gateway
    await everyOrder(store, {
      begin: async () => ({
        one: await newWave(),
        other: await newWave(),
        id: (await newApplication()).applicationId,
      }),
      one: (own, { one, id }) => joinWave({ ...services, store: own }, [id], one),
      other: (own, { other, id }) => joinWave({ ...services, store: own }, [id], other),
      check: async ({ one, other, id }, first, second, order) => {
        const { waveId } = (await store.get('application', { id }))?.value ?? {}
        const [winner, loser] = waveId === one.waveId ? [first, second] : [second, first]
        expect([one.waveId, other.waveId], order).toContain(waveId)
        expect(winner.error, order).toBeUndefined()
        expect(loser.error, order).toBeInstanceOf(ConflictError)
      },
    })
  })
})

describe('what a gateway leaves that ends between two writes', () => {
  it('is taken out of groups that are gone, and nothing else is', async () => {
    const { services, store } = service.gateway
    const [gone, goneWave] = [newId('application'), newId('wave')]
    const [left, kept] = [await readyServer(service, 'left'), await readyServer(service, 'kept')]
    const wave = await newWave()
    const [inWave, inGone] = [await newApplication(wave.waveId), await newApplication(goneWave)]
    const put = (id: string, applicationId: ApplicationId) =>
      putServer(service.gateway, id, (server) => ({ ...server, applicationId }))
    await put(left.sourceServerId, gone)
    await put(kept.sourceServerId, inWave.applicationId)
    await mendMemberships(services)
    const mended = await serverOf(service.gateway, left.sourceServerId)
    expect(mended.applicationId).toBeUndefined()
    expect(mended.outbox.at(-1)?.message).toBe(`Taken out of application ${gone}, which was deleted`)
    expect((await serverOf(service.gateway, kept.sourceServerId)).applicationId).toBe(inWave.applicationId)
    const waveOf = async (id: string) => (await store.get('application', { id }))?.value.waveId
    expect(await waveOf(inGone.applicationId)).toBeUndefined()
    expect(await waveOf(inWave.applicationId)).toBe(wave.waveId)
  })

  it('does not keep a member from another group, nor a group from being deleted', async () => {
    const { services } = service.gateway
    const { sourceServerId } = await readyServer(service)
    await putServer(service.gateway, sourceServerId, (server) => ({
      ...server,
      applicationId: newId('application'),
    }))
    const application = await newApplication(newId('wave'))
    const wave = await newWave()
    await service.client.send(
      new AssociateSourceServersCommand({
        applicationID: application.applicationId,
        sourceServerIDs: [sourceServerId],
      }),
    )
    expect((await serverOf(service.gateway, sourceServerId)).applicationId).toBe(application.applicationId)
    await service.client.send(
      new AssociateApplicationsCommand({ waveID: wave.waveId, applicationIDs: [application.applicationId] }),
    )
    const other = await newApplication(newId('wave'))
    await deleteApplication(services, other.applicationId)
    expect(await service.gateway.store.get('application', { id: other.applicationId })).toBeUndefined()
  })
})

it('lists of groups read applications and servers once, however many groups there are', async () => {
  const { store, services } = service.gateway
  for (let index = 0; index < 12; index++) {
    const { waveID } = await service.client.send(new CreateWaveCommand({ name: `wave ${index}` }))
    const { applicationID = '' } = await service.client.send(
      new CreateApplicationCommand({ name: `application ${index}` }),
    )
    await service.client.send(new AssociateApplicationsCommand({ waveID, applicationIDs: [applicationID] }))
  }
  let listings: string[] = []
  const list = store.list.bind(store)
  store.list = (kind, options) => {
    listings.push(kind)
    return list(kind, options)
  }
  let fleets = 0
  const held = services.fleet.list.bind(services.fleet)
  services.fleet.list = () => {
    fleets += 1
    return held()
  }
  const { items: waves = [] } = await service.client.send(new ListWavesCommand({}))
  expect(waves.map(({ waveAggregatedStatus }) => waveAggregatedStatus?.totalApplications)).toEqual(
    Array.from({ length: 12 }, () => 1),
  )
  expect(listings.filter((kind) => kind === 'application' || kind === 'wave').sort()).toEqual([
    'application',
    'wave',
  ])
  expect(fleets).toBe(1)
  listings = []
  fleets = 0
  expect((await service.client.send(new ListApplicationsCommand({}))).items).toHaveLength(12)
  expect(listings.filter((kind) => kind === 'application')).toHaveLength(1)
  expect(fleets).toBe(1)
})
