import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { AgentDesired } from '../../../wire/control_api.ts'
import type { TestGateway } from './support.ts'
import {
  callAgentPort,
  enrolServer,
  getPage,
  heartbeat,
  postForm,
  putServer,
  serverOf,
  staged,
} from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  // A Monday, 13:00 in Berlin.
  gateway = await testGateway({ start: '2026-03-02T12:00:00.000Z' })
})

afterEach(() => gateway.close())

async function api(method: string, path: string, body?: unknown, role: Role = 'operator'): Promise<Response> {
  const token = await gateway.apiToken(role)
  return gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

const office = {
  timeZone: 'Europe/Berlin',
  entries: [{ weekdays: ['MON', 'TUE'], from: '08:00', to: '18:00', limit: 20 }],
}

/** What the agent of a server is told with its next report. */
async function told({ sourceServerId }: SourceServer, state = 'CONTINUOUS'): Promise<AgentDesired> {
  const { generation } = (await serverOf(gateway, sourceServerId)).agent
  const response = await callAgentPort(gateway, '/agent/v1/heartbeat', { ...heartbeat(generation), state })
  expect(response.status).toBe(200)
  return (await response.json()) as AgentDesired
}

async function replicating(hostname = 'web-1'): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway, hostname)
  return putServer(gateway, sourceServerId, (server) => ({
    ...staged(server),
    agent: { ...server.agent, generation: 1 },
  }))
}

describe('bandwidth', () => {
  it('is the server’s own limit, until the calendar of the settings or its own says otherwise', async () => {
    const server = await replicating()
    const path = `/servers/${server.sourceServerId}/replication-configuration`
    expect(await told(server)).toMatchObject({
      throttleBitsPerSecond: 0,
      isSendingOff: false,
      yieldsToSource: true,
    })
    expect((await api('PUT', path, { bandwidthThrottlingMbps: 8, yieldsToSource: false })).status).toBe(200)
    expect(await told(server)).toMatchObject({ throttleBitsPerSecond: 8e6, yieldsToSource: false })
    expect((await api('PUT', '/bandwidth', { calendar: office, sites: [] })).status).toBe(200)
    gateway.pass(3000)
    expect((await told(server)).throttleBitsPerSecond).toBe(20e6)
    const off = { ...office, entries: [{ ...office.entries[0], limit: 'OFF' }] }
    await api('PUT', path, { bandwidthCalendar: off })
    expect(await told(server)).toMatchObject({ isSendingOff: true })
    gateway.pass(5 * 3_600_000)
    expect(await told(server)).toMatchObject({ isSendingOff: false, throttleBitsPerSecond: 8e6 })
    await api('PUT', path, { bandwidthCalendar: null })
    const stored = await (await api('GET', path)).json()
    expect(stored).toMatchObject({ bandwidthThrottlingMbps: 8, yieldsToSource: false })
    expect(stored).not.toHaveProperty('bandwidthCalendar')
  })

  it('of a site is divided by priority, and what one server leaves goes to the other within seconds', async () => {
    await api('PUT', '/bandwidth', { sites: [{ name: 'berlin', limitMbps: 90 }] })
    const first = await replicating('web-1')
    const certificate = gateway.peer()
    const second = await replicating('web-2')
    const other = gateway.peer()
    for (const [server, priority] of [
      [first, 4],
      [second, 3],
    ] as const)
      await api('PUT', `/servers/${server.sourceServerId}/replication-configuration`, {
        site: 'berlin',
        priority,
      })
    const wire = new Map([
      [first, 0],
      [second, 0],
    ])
    const limits: number[][] = []
    /** Three seconds, in which the servers send at these speeds, or at their limit. */
    const pass = async (firstMbit: number) => {
      const now: number[] = []
      for (const [server, peer] of [
        [first, certificate],
        [second, other],
      ] as const) {
        gateway.present(peer)
        const { throttleBitsPerSecond } = await told(server, 'INITIAL_SYNC')
        now.push(Math.round(throttleBitsPerSecond / 1e6))
        const speed =
          server === first ? Math.min(firstMbit * 1e6, throttleBitsPerSecond) : throttleBitsPerSecond
        wire.set(server, (wire.get(server) ?? 0) + (speed / 8) * 3)
      }
      limits.push(now)
      gateway.pass(3000)
      for (const server of [first, second])
        gateway.telemetry.figures.set(server.sourceServerId, {
          sourceServerId: server.sourceServerId,
          at: gateway.now().toISOString(),
          state: 'INITIAL_SYNC',
          lagMs: null,
          backlogBytes: 1e9,
          bytesPerSecond: 0,
          durableBytes: 0,
          wireBytes: wire.get(server) ?? 0,
          rescans: 0,
          disks: [],
        })
    }
    for (let count = 0; count < 4; count++) await pass(1000)
    expect(limits.at(-1)).toEqual([60, 30])
    for (let count = 0; count < 4; count++) await pass(10)
    expect(limits.at(-1)?.[0]).toBeLessThan(20)
    expect(limits.at(-1)?.[1]).toBeGreaterThan(70)
    for (let count = 0; count < 4; count++) await pass(1000)
    expect(limits.at(-1)).toEqual([60, 30])
    for (const [one = 0, two = 0] of limits.slice(2)) expect(one + two).toBeLessThanOrEqual(150)
    // Without figures everybody who copies gets a share all the same.
    gateway.telemetry.isAway = true
    gateway.pass(3000)
    gateway.present(certificate)
    expect((await told(first, 'INITIAL_SYNC')).throttleBitsPerSecond).toBeGreaterThan(0)
  })

  it('refuses what cannot hold, with the reason', async () => {
    const server = await replicating()
    const twice = {
      ...office,
      entries: [...office.entries, { weekdays: ['TUE'], from: '17:00', to: '19:00', limit: 'OFF' }],
    }
    const refused = await api('PUT', '/bandwidth', { calendar: twice, sites: [] })
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('overlap')])
    const path = `/servers/${server.sourceServerId}/replication-configuration`
    for (const bad of [
      { priority: 6 },
      { site: 'two words' },
      { bandwidthThrottlingMbps: -1 },
      { unknown: 1 },
    ])
      expect((await api('PUT', path, bad)).status).toBe(400)
    await api('PUT', '/bandwidth', { sites: [{ name: 'berlin', limitMbps: 90 }] })
    const nowhere = await api('PUT', path, { site: 'Berlin' })
    expect([nowhere.status, await nowhere.text()]).toEqual([
      422,
      expect.stringContaining('There is no site Berlin: there are berlin'),
    ])
    expect((await api('PUT', path, { site: 'berlin' })).status).toBe(200)
    // It stays where it is when its site is taken away, and its other settings can be changed.
    await api('PUT', '/bandwidth', { sites: [] })
    expect((await api('PUT', path, { site: 'berlin', priority: 2 })).status).toBe(200)
    expect((await api('PUT', path, { priority: 5 }, 'viewer')).status).toBe(403)
    expect((await api('PUT', '/bandwidth', { sites: [] }, 'viewer')).status).toBe(403)
  })

  it('is what the settings say now, though the clock was set back since they were read', async () => {
    const server = await replicating()
    await api('PUT', '/bandwidth', { calendar: office, sites: [] })
    expect((await told(server)).throttleBitsPerSecond).toBe(20e6)
    const slower = { ...office, entries: [{ ...office.entries[0], limit: 5 }] }
    await api('PUT', '/bandwidth', { calendar: slower, sites: [] })
    gateway.pass(-60_000)
    expect((await told(server)).throttleBitsPerSecond).toBe(5e6)
  })

  it('keeps the last settings known while they cannot be read', async () => {
    const server = await replicating()
    await api('PUT', '/bandwidth', { calendar: office, sites: [] })
    expect((await told(server)).throttleBitsPerSecond).toBe(20e6)
    const stored = await gateway.store.get('setting', { id: 'bandwidth' })
    await gateway.store.replace('setting', { id: 'bandwidth' }, stored?.revision ?? 0, {
      name: 'bandwidth',
      value: '{',
    })
    gateway.pass(3000)
    expect((await told(server)).throttleBitsPerSecond).toBe(20e6)
    expect(gateway.logged.join('\n')).toContain('Cannot read the bandwidth settings')
  })
})

describe('the forms of bandwidth', () => {
  const form = {
    bandwidthThrottlingMbps: '12.5',
    timeZone: 'Europe/Berlin',
    calendar: 'Mon-Fri 08:00-18:00 20\r\n\r\nSat,Sun 00:00-24:00 unlimited\r\n',
    site: '',
    priority: '5',
    yieldsToSource: 'no',
  }

  it('set a server’s, show them again, and let two operators not overwrite each other', async () => {
    const server = await replicating()
    const cookie = await gateway.signIn('operator')
    const address = `/servers/${server.sourceServerId}/replication-configuration`
    const shown = await (await getPage(gateway, address, cookie)).text()
    const version = /name="version" value="([0-9a-f]+)"/.exec(shown)?.[1] ?? ''
    expect((await postForm(gateway, address, { ...form, version }, cookie)).status).toBe(303)
    expect((await serverOf(gateway, server.sourceServerId)).replicationConfiguration).toMatchObject({
      bandwidthThrottlingMbps: 12.5,
      priority: 5,
      yieldsToSource: false,
      bandwidthCalendar: { timeZone: 'Europe/Berlin', entries: [{ limit: 20 }, { limit: 'UNLIMITED' }] },
    })
    expect(await (await getPage(gateway, address, cookie)).text()).toContain(
      'Mon-Fri 08:00-18:00 20\nSat,Sun',
    )
    const page = await (await getPage(gateway, `/servers/${server.sourceServerId}`, cookie)).text()
    expect(page).toContain('20.0 Mbit/s')
    expect((await postForm(gateway, address, { ...form, version }, cookie)).status).toBe(409)
  })

  it('keep what was entered when it is refused', async () => {
    const server = await replicating()
    const cookie = await gateway.signIn('operator')
    const address = `/servers/${server.sourceServerId}/replication-configuration`
    for (const [bad, words] of [
      [{ calendar: 'Mondays are slow' }, 'Cannot read “Mondays are slow”'],
      [{ timeZone: 'Mars' }, 'there is no time zone Mars'],
      [{ priority: '9' }, 'give a number from 1 to 5'],
      [{ site: 'nowhere' }, 'There is no site nowhere: there are none yet'],
    ] as const) {
      const refused = await postForm(gateway, address, { ...form, ...bad }, cookie)
      const page = await refused.text()
      expect(refused.status).toBe(422)
      expect(page).toContain(words)
      expect(page).toContain('value="12.5"')
    }
  })

  it('set the calendar and the sites of all', async () => {
    const cookie = await gateway.signIn('operator')
    const settings = { timeZone: 'UTC', calendar: 'Sun 22:00-06:00 off', sites: 'berlin 200\r\nparis 50.5' }
    expect((await postForm(gateway, '/settings/bandwidth', settings, cookie)).status).toBe(303)
    const shown = await (await getPage(gateway, '/settings/bandwidth', cookie)).text()
    expect(shown).toContain('berlin 200\nparis 50.5')
    expect(await (await getPage(gateway, '/settings', cookie)).text()).toContain('Sun 22:00-06:00 off')
    for (const sites of ['berlin', 'berlin fast', 'berlin 1\nberlin 2', 'berlin 1 2']) {
      const refused = await postForm(gateway, '/settings/bandwidth', { ...settings, sites }, cookie)
      expect(refused.status).toBe(422)
      expect(await refused.text()).toContain('Cannot read the sites')
    }
    const viewer = await gateway.signIn('viewer')
    expect((await postForm(gateway, '/settings/bandwidth', settings, viewer)).status).toBe(403)
  })
})
