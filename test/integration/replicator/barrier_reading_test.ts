import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes, piecesPerBlock, pieceSizeBytes } from '../../../domain/units.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'
import { until } from '../../fixtures/waiting.ts'
import type { TestAgent } from './test_agent.ts'
import { helloOf, piecesOf, rootOf } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const blocks = 60
const sizeBytes = blocks * blockSizeBytes

let replicator: TestReplicator
let image: Buffer
let agent: TestAgent
let readBytes = 0
/** How long a read of the data takes. */
let readMs = 0

/** A replica that is whole; `barrierReadMs` may be read behind a barrier. */
async function start(barrierReadMs: number): Promise<void> {
  replicator.barrierReadMs = barrierReadMs
  await replicator.close()
  await replicator.open()
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  await agent.ack(agent.sendImage(0, image))
  readBytes = 0
}

beforeEach(async () => {
  readMs = 0
  image = randomBytes(sizeBytes)
  replicator = await TestReplicator.start()
  replicator.wrap = (disk) =>
    withCalls(disk, {
      read: async (into, offset) => {
        readBytes += into.length
        if (readMs > 0) await pause(readMs)
        return await disk.read(into, offset)
      },
    })
})
afterEach(async () => {
  await replicator.end()
})

/** Changes a piece of every other block, so that each must be read by itself. */
async function changePieces(): Promise<number> {
  const pieces = Array.from({ length: blocks / 2 }, (_, index) => 2 * index * piecesPerBlock)
  for (const piece of pieces) randomBytes(pieceSizeBytes).copy(image, piece * pieceSizeBytes)
  await agent.ack(agent.send(piecesOf(0, image, pieces)))
  return pieces.length * blockSizeBytes
}

const barrier = (hold: boolean) => ({
  type: 'BARRIER' as const,
  body: { consistencyPointId: 'cp-1', hold, method: 'QUIET' as const, frozenMs: 0 },
})
const copy = (): Buffer => readFileSync(replicator.volumePath(0))
const point = (state: 'REQUESTED' | 'TAKEN') => ({ consistencyPoint: { consistencyPointId: 'cp-1', state } })

describe('a barrier for which too much is to be read', () => {
  it('is not reached, reads nothing, says how much it is, and writes go on on the same connections', async () => {
    await start(0)
    const unknownBytes = await changePieces()
    agent.send(barrier(false))
    const { body } = await agent.next('TO_READ')
    expect(body).toEqual({
      consistencyPointId: 'cp-1',
      unknownBytes,
      bytesPerSecond: expect.any(Number) as number,
    })
    expect(readBytes).toBe(0)
    image.fill(7, 0, blockSizeBytes)
    await agent.ack(agent.sendBlocks(0, image, 0, 1))
    expect(copy().equals(image)).toBe(true)
    expect(replicator.announced).toEqual([])
  })

  it('is reached for a launch, without the root: held, told with the figures, and told again after a restart', async () => {
    await start(0)
    await replicator.assign(replicator.assignment([sizeBytes]))
    const unknownBytes = await changePieces()
    agent.send(barrier(true))
    const { body } = await agent.next('BARRIER_REACHED')
    expect(body).toMatchObject({ consistencyPointId: 'cp-1', roots: [], unread: { unknownBytes } })
    const { consistencyPointId: _, ...settled } = body
    expect(replicator.announced).toEqual([
      { sourceServerId: 's-1', consistencyPointId: 'cp-1', method: 'QUIET', frozenMs: 0, ...settled },
    ])
    expect(copy().equals(image)).toBe(true)
    await replicator.kill()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes], point('REQUESTED')))
    const next = await replicator.connect()
    await next.hello(helloOf(sizeBytes))
    next.send(barrier(true))
    expect((await next.next('BARRIER_REACHED')).body).toEqual(body)
    const later = next.sendBlocks(0, Buffer.alloc(sizeBytes, 3), 0, 1)
    expect(copy().equals(image)).toBe(true)
    await replicator.assign(replicator.assignment([sizeBytes], point('TAKEN')))
    await next.ack(later)
    next.destroy()
  })

  it('ends its reading when the time is over that it was thought to fit', async () => {
    await start(60)
    const unknownBytes = await changePieces()
    readMs = 100
    agent.send(barrier(false))
    const { body } = await agent.next('TO_READ')
    expect(body.unknownBytes).toBeGreaterThan(0)
    expect(body.unknownBytes).toBeLessThan(unknownBytes)
    // What was read is known, and how fast it was.
    expect(body.bytesPerSecond).toBeLessThan(10e6)
  })
})

describe('PREPARE', () => {
  it('makes known, while writes go on, what the barrier needs', async () => {
    await start(0)
    const unknownBytes = await changePieces()
    readMs = 5
    agent.send({ type: 'PREPARE' })
    expect((await agent.next('TO_READ')).body).toMatchObject({ unknownBytes })
    image.fill(9, blockSizeBytes, 2 * blockSizeBytes)
    await agent.ack(agent.sendBlocks(0, image, 1, 1))
    await until('nothing is unknown', async () => {
      agent.send({ type: 'PREPARE' })
      return (await agent.next('TO_READ')).body.unknownBytes === 0
    })
    expect(readBytes).toBe(unknownBytes)
    agent.send(barrier(false))
    expect((await agent.next('BARRIER_REACHED')).body).toEqual({
      consistencyPointId: 'cp-1',
      roots: [{ diskIndex: 0, root: rootOf(image) }],
    })
    expect(readBytes).toBe(unknownBytes)
  })
})
