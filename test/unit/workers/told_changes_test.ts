import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { initiationStepNames } from '../../../domain/initiation.ts'
import { withReplicationError } from '../../../domain/replication_error.ts'
import type { ServerEvent } from '../../../domain/source_server.ts'
import { withThresholds } from '../../../domain/thresholds.ts'
import { mutate } from '../../../store/mutate.ts'
import { relayServer } from '../../../workers/relay.ts'
import { steps } from '../../../workers/steps.ts'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.make()
})
afterEach(() => world.close())

/** The events of the server so far, of one type. */
async function told(type: ServerEvent['type']): Promise<ServerEvent['detail'][]> {
  await relayServer(world.bench, await world.server())
  const { items } = await world.store.list('serverEvent', { parent: world.serverId, limit: 1000 })
  return items.filter(({ value }) => value.type === type).map(({ value }) => value.detail)
}

describe('raising a staging area', () => {
  it('tells each initiation step as the record has it in the end', async () => {
    await world.work()
    const { initiation } = (await world.server()).replication
    const last = new Map((await told('INITIATION_STEP')).map(({ step, status }) => [step, status]))
    const done = initiation.steps.filter(({ status }) => status !== 'NOT_STARTED')
    expect(done.map(({ name }) => name)).toEqual(initiationStepNames.slice(0, 9))
    expect(done.map(({ name }) => last.get(name))).toEqual(done.map(({ status }) => status))
    expect(await told('INITIATION_STEP')).toContainEqual({
      step: 'CREATE_STAGING_DISKS',
      status: 'IN_PROGRESS',
    })
  })

  it('tells what goes wrong with step and error, and that it is over', async () => {
    let isBroken = true
    const run: (typeof steps)['create-volumes']['run'] = async (context) => {
      if (!isBroken) return steps['create-volumes'].run(context)
      isBroken = false
      await steps['create-volumes'].run(context)
      throw new Error('no space left')
    }
    world.steps = { ...steps, 'create-volumes': { ...steps['create-volumes'], run } }
    await world.work()
    expect((await world.server()).replication.error).toBeUndefined()
    expect(await told('INITIATION_STEP')).toContainEqual({ step: 'CREATE_STAGING_DISKS', status: 'FAILED' })
    const error = 'FAILED_TO_CREATE_STAGING_DISKS'
    expect((await told('REPLICATION_CHANGED')).filter((detail) => 'error' in detail)).toEqual([
      { error },
      { error },
    ])
  })
})

describe('an agent that falls silent and is heard again', () => {
  it.each(['PAUSE', 'REPLICATE'] as const)('is told as both, once, while it is to %s', async (desired) => {
    await world.work()
    await world.makeReady()
    await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
      ...server,
      agent: { ...server.agent, desired },
    }))
    world.silenceAgent()
    for (const ms of [0, 3000, 60_000]) await world.reconcileAfter(ms)
    const states = async () =>
      (await told('AGENT')).flatMap(({ state }) => (state === undefined ? [] : [state]))
    expect((await states()).slice(-1)).toEqual(['NOT_SEEN'])
    const before = (await states()).length
    const server = await world.server()
    const { generation } = server.agent
    const paused: HeartbeatReport = {
      generation,
      state: 'PAUSED',
      isConnected: true,
      lagMs: null,
      disks: [],
      notes: [],
    }
    const heard = applyHeartbeat(server, paused, world.bench.clock().toISOString())
    await mutate(world.store, 'server', { id: world.serverId }, () => heard)
    expect(applyHeartbeat(heard, paused, world.bench.clock().toISOString())).toBe(heard)
    expect((await states()).slice(before)).toEqual(['SEEN'])
  })
})

describe('the end of replication', () => {
  it.each(['STOP_REPLICATION', 'DISCONNECT'] as const)(
    'by %s ends what was wrong, and says so',
    async (action) => {
      await world.work()
      await world.makeReady()
      await mutate(world.store, 'server', { id: world.serverId }, (server) => {
        const at = world.bench.clock().toISOString()
        const late = withThresholds(
          server,
          { lagMs: 9000, backlogBytes: null },
          { lagMs: 1000, backlogBytes: 0 },
          at,
        )
        return withReplicationError(
          late,
          { error: 'UNSTABLE_NETWORK', rawError: 'lost', whatToDo: 'wait' },
          at,
        )
      })
      await world.act(action)
      const { error, exceeded } = (await world.server()).replication
      expect([error, exceeded]).toEqual([undefined, undefined])
      expect((await told('THRESHOLD')).map(({ figure, state }) => [figure, state])).toEqual([
        ['LAG', 'EXCEEDED'],
        ['LAG', 'OK'],
      ])
      const errors = (await told('REPLICATION_CHANGED')).filter((detail) => 'error' in detail)
      expect(errors).toEqual([{ error: 'UNSTABLE_NETWORK' }, { error: 'UNSTABLE_NETWORK' }])
    },
  )
})
