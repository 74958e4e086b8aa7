import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import type { Assignment } from './test_replicator.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const sizeBytes = 20 * blockSizeBytes
const point = (consistencyPointId: string, hold = true) =>
  ({ type: 'BARRIER', body: { consistencyPointId, hold, method: 'FROZEN', frozenMs: 12 } }) as const

let replicator: TestReplicator
let source: Buffer
let agent: TestAgent
let other: TestAgent
beforeEach(async () => {
  replicator = await TestReplicator.start()
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(assignment())
  source = randomBytes(sizeBytes)
  agent = await replicator.connect()
  other = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  await other.hello(helloOf(sizeBytes, { connectionIndex: 1 }))
  await agent.ack(agent.sendImage(0, source))
})
afterEach(async () => {
  agent.destroy()
  other.destroy()
  await replicator.end()
})

/** The assignment, with the gateway's point in a state. */
function assignment(
  consistencyPointId?: string,
  state: NonNullable<Assignment['consistencyPoint']>['state'] = 'REQUESTED',
): Assignment {
  return replicator.assignment(
    [sizeBytes],
    consistencyPointId === undefined ? {} : { consistencyPoint: { consistencyPointId, state } },
  )
}

const disk = (): Buffer => readFileSync(replicator.volumePath(0))
const heldPoint = (): string | undefined => replicator.registry.servers[0]?.report().heldConsistencyPointId

/** Sends a change of block 0 on a connection that writes are held back on; answers its sequence number. */
async function changeHeld(connection: TestAgent, fill: number): Promise<number> {
  const changed = Buffer.alloc(sizeBytes, fill)
  const sequence = connection.sendBlocks(0, changed, 0, 1)
  // HASHES are answered in order, so this shows that the change was reached and is waiting, or that it was passed.
  connection.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount: 1, hashes: new Uint8Array(32) })
  return sequence
}

describe('a hold', () => {
  it('keeps later writes of every connection back until the gateway says TAKEN', async () => {
    await replicator.assign(assignment('cp-1'))
    agent.send(point('cp-1'))
    const root = rootOf(source)
    expect((await agent.next('BARRIER_REACHED')).body).toEqual({
      consistencyPointId: 'cp-1',
      roots: [{ diskIndex: 0, root }],
    })
    expect(replicator.announced).toEqual([
      {
        sourceServerId: 's-1',
        consistencyPointId: 'cp-1',
        method: 'FROZEN',
        frozenMs: 12,
        roots: [{ diskIndex: 0, root }],
      },
    ])
    expect(heldPoint()).toBe('cp-1')
    const sequences = [await changeHeld(agent, 1), await changeHeld(other, 2)]
    for (const state of ['REQUESTED', 'REACHED'] as const) {
      await replicator.assign(assignment('cp-1', state))
      expect(heldPoint()).toBe('cp-1')
    }
    expect(agent.received).toEqual([])
    expect(other.received).toEqual([])
    expect(disk().equals(source)).toBe(true)
    await replicator.assign(assignment('cp-1', 'TAKEN'))
    expect(heldPoint()).toBeUndefined()
    await agent.ack(sequences[0] ?? 0)
    await other.ack(sequences[1] ?? 0)
    expect(disk().subarray(0, blockSizeBytes).equals(source.subarray(0, blockSizeBytes))).toBe(false)
    expect(disk().subarray(blockSizeBytes).equals(source.subarray(blockSizeBytes))).toBe(true)
  })

  it.each(['EXPIRED', 'FAILED'] as const)('ends when the gateway says %s', async (state) => {
    agent.send(point('cp-1'))
    await agent.next('BARRIER_REACHED')
    const sequence = await changeHeld(other, 1)
    await replicator.assign(assignment('cp-1', state))
    await other.ack(sequence)
  })

  it('ends when the gateway has another point in mind, or none', async () => {
    agent.send(point('cp-1'))
    await agent.next('BARRIER_REACHED')
    const sequence = agent.send(point('cp-2'))
    await replicator.assign(assignment('cp-2'))
    expect((await agent.next('BARRIER_REACHED')).body.consistencyPointId).toBe('cp-2')
    expect(heldPoint()).toBe('cp-2')
    const change = await changeHeld(agent, 1)
    await replicator.assign(assignment())
    await agent.ack(change)
    expect(sequence).toBeLessThan(change)
  })

  it('is not ended by an answer to a heartbeat that was sent before it', async () => {
    const { beat } = replicator.registry.beginBeat()
    agent.send(point('cp-1'))
    await agent.next('BARRIER_REACHED')
    replicator.registry.apply(
      { assignments: [assignment()], renewCertificate: false, heartbeatIntervalMs: 1000 },
      beat,
    )
    await replicator.registry.applied()
    expect(heldPoint()).toBe('cp-1')
    await replicator.assign(assignment('cp-1', 'TAKEN'))
    expect(heldPoint()).toBeUndefined()
  })

  it('answers the same point again, also to a new run of the agent, and tells of life meanwhile', async () => {
    agent.send(point('cp-1'))
    const { body } = await agent.next('BARRIER_REACHED')
    const newer = await replicator.connect()
    await newer.hello(helloOf(sizeBytes, { generation: 2 }))
    newer.send(point('cp-1'))
    expect((await newer.next('BARRIER_REACHED')).body).toEqual(body)
    expect(replicator.announced).toHaveLength(1)
    newer.send({ type: 'PING' })
    await newer.next('PONG')
    const sequence = newer.sendBlocks(0, Buffer.alloc(sizeBytes, 1), 0, 1)
    // Unasked: the write ahead keeps everything behind it from being answered.
    await newer.next('PONG')
    expect(newer.acked).toBeUndefined()
    await replicator.assign(assignment('cp-1', 'TAKEN'))
    await newer.ack(sequence)
    newer.destroy()
  }, 30_000)

  it('survives the process: writes stay held and the gateway is told again', async () => {
    agent.send(point('cp-1'))
    const { body } = await agent.next('BARRIER_REACHED')
    await replicator.kill()
    await replicator.open()
    await replicator.assign(assignment('cp-1', 'REACHED'))
    expect(heldPoint()).toBe('cp-1')
    await until('it is told again', () => Promise.resolve(replicator.announced.length === 2))
    expect(replicator.announced[1]).toEqual(replicator.announced[0])
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    again.send(point('cp-1'))
    expect((await again.next('BARRIER_REACHED')).body).toEqual(body)
    const sequence = await changeHeld(again, 1)
    await replicator.assign(assignment('cp-1', 'REACHED'))
    expect(again.received).toEqual([])
    expect(disk().equals(source)).toBe(true)
    await replicator.assign(assignment('cp-1', 'TAKEN'))
    await again.ack(sequence)
    // The release survives too.
    await replicator.close()
    await replicator.open()
    await replicator.assign(assignment('cp-1', 'TAKEN'))
    expect(heldPoint()).toBeUndefined()
    again.destroy()
  })

  it('is not asked for by a barrier without it: writes go on and nobody is told', async () => {
    agent.send(point('cp-1', false))
    await agent.next('BARRIER_REACHED')
    expect(heldPoint()).toBeUndefined()
    expect(replicator.announced).toEqual([])
    await agent.ack(agent.sendBlocks(0, Buffer.alloc(sizeBytes, 1), 0, 1))
  })

  it('covers what other connections had under way when the barrier came', async () => {
    const changed = Buffer.alloc(sizeBytes, 5)
    const sequence = other.sendBlocks(0, changed, 4, 16)
    await other.ack(sequence)
    agent.send(point('cp-1'))
    const { body } = await agent.next('BARRIER_REACHED')
    changed.copy(source, 4 * blockSizeBytes, 4 * blockSizeBytes)
    expect(body.roots[0]?.root).toBe(rootOf(source))
    expect(rootOf(disk())).toBe(body.roots[0]?.root)
  })
})
