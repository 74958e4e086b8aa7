import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mutate } from '../../../store/mutate.ts'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.ready()
})
afterEach(() => world.close())

async function events(): Promise<string[]> {
  const { items } = await world.store.list('serverEvent', { parent: world.serverId, limit: 1000 })
  return items.map(({ value }) => value.message)
}

describe('an agent', () => {
  it('that falls silent stalls replication, and that is said once with what to do', async () => {
    world.silenceAgent()
    await world.reconcileAfter(0)
    await world.reconcileAfter(3000)
    await world.reconcileAfter(3000)
    const { replication } = await world.server()
    expect(replication.state).toBe('STALLED')
    expect(replication.error).toMatchObject({ error: 'AGENT_NOT_SEEN' })
    expect(replication.error?.rawError).toMatch(/^The agent was last seen at 20/)
    expect(replication.error?.whatToDo).toMatch(/shop is up.*rehost-agent/)
    expect((await events()).filter((message) => message.startsWith('AGENT_NOT_SEEN'))).toHaveLength(1)
  })

  it('that falls silent lets the lag grow, which is told once it is above its limit', async () => {
    world.bench.thresholds = { lagMs: 600_000, backlogBytes: 0 }
    await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
      ...server,
      replication: { ...server.replication, lastConsistentAt: server.agent.lastSeenAt ?? '' },
    }))
    const told = async () => (await events()).filter((message) => message.startsWith('Lag of'))
    world.silenceAgent()
    await world.reconcileAfter(0)
    await world.reconcileAfter(60_000)
    await world.reconcileAfter(3000)
    expect(await told()).toEqual([])
    await world.reconcileAfter(600_000)
    await world.reconcileAfter(60_000)
    await world.reconcileAfter(3000)
    expect(await told()).toEqual([expect.stringMatching(/^Lag of 7\d\d s is above the limit of 600 s$/)])
  })

  it('that stays away until its certificate expires cannot come back, and that is said once', async () => {
    world.silenceAgent()
    await world.reconcileAfter(0)
    const { certificateNotAfter } = (await world.server()).agent
    await world.reconcileAfter(8 * 86_400_000)
    await world.reconcileAfter(3000)
    const { replication } = await world.server()
    expect(replication.state).toBe('STALLED')
    expect(replication.error?.error).toBe('AGENT_NOT_SEEN')
    expect(replication.error?.rawError).toContain(
      `and its certificate expired at ${certificateNotAfter}: it cannot come back by itself`,
    )
    expect(replication.error?.whatToDo).toMatch(/^Install the agent on shop again with a new command/)
    const told = (await events()).filter((message) => message.startsWith('AGENT_NOT_SEEN'))
    expect(told.map((message) => message.includes('certificate expired'))).toEqual([false, true])
  })

  it('that was uninstalled or suffers from something else is not told of its certificate', async () => {
    world.silenceAgent()
    await world.reconcileAfter(0)
    const id = world.serverId
    const uninstalledAt = world.bench.clock().toISOString()
    const change = (agent: { uninstalledAt?: string }, error: 'AGENT_NOT_SEEN' | 'UNSTABLE_NETWORK') =>
      mutate(world.store, 'server', { id }, (server) => {
        const { uninstalledAt: _known, ...known } = server.agent
        const told = { error, rawError: 'as it was', whatToDo: 'as it was' }
        return {
          ...server,
          agent: { ...known, ...agent },
          replication: { ...server.replication, error: told },
        }
      })
    await change({ uninstalledAt }, 'AGENT_NOT_SEEN')
    await world.reconcileAfter(8 * 86_400_000)
    expect((await world.server()).replication.error?.rawError).toBe('as it was')
    await change({}, 'UNSTABLE_NETWORK')
    await world.reconcileAfter(3000)
    expect((await world.server()).replication.error?.rawError).toBe('as it was')
  })

  it('that reports is left alone', async () => {
    await world.reconcileAfter(30_000)
    expect((await world.server()).replication.state).toBe('CONTINUOUS')
  })
})

describe('a staging area that could not be raised', () => {
  it('is tried again when the clock was set back by an hour meanwhile', async () => {
    const inAnHour = new Date(world.bench.clock().getTime() + 3_600_000).toISOString()
    await mutate(world.store, 'server', { id: world.serverId }, ({ disks, ...server }) => ({
      ...server,
      disks: disks.map(({ devicePath: _path, ...disk }) => disk),
      replication: {
        ...server.replication,
        initiation: { ...server.replication.initiation, nextAttemptAt: inAnHour },
      },
    }))
    await world.reconcileAfter(0)
    expect((await world.server()).activeTask?.kind).toBe('STAGING')
  })

  it('is not tried again once replication was stopped', async () => {
    await mutate(world.store, 'server', { id: world.serverId }, ({ disks, ...server }) => ({
      ...server,
      lifecycle: { ...server.lifecycle, state: 'STOPPED' },
      disks: disks.map(({ devicePath: _path, ...disk }) => disk),
      replication: {
        ...server.replication,
        initiation: { ...server.replication.initiation, nextAttemptAt: new Date(0).toISOString() },
      },
    }))
    await world.reconcileAfter(0)
    expect(await world.server()).not.toHaveProperty('activeTask')
  })
})
