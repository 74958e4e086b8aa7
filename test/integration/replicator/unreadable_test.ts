/**
 * Sectors of the staging disk that cannot be read, under blocks whose hashes are not known: the blocks are damaged, and everything else is
 * served.
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { BadSectors } from '../../fixtures/bad_sectors.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf, piecesOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const random = seededRandom(seedFor('unreadable sectors'))
const blockCount = 40
const sizeBytes = blockCount * blockSizeBytes - 512
const barrier = { consistencyPointId: 'cp-1', hold: false, method: 'QUIET', frozenMs: 0 } as const

let replicator: TestReplicator
let bad: BadSectors
let source: Buffer
let agent: TestAgent

async function connect(generation = 1): Promise<void> {
  agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes, { generation }))
}

async function sendAll(): Promise<void> {
  for (let first = 0; first < blockCount; first += 16)
    await agent.ack(agent.sendBlocks(0, source, first, Math.min(16, blockCount - first)))
}

/** The replicator is killed, so that the blocks it has written are not known any more, and started again. */
async function killAndStart(): Promise<void> {
  agent.destroy()
  await replicator.kill()
  await replicator.open()
  await replicator.assign(replicator.assignment([sizeBytes]))
}

beforeEach(async () => {
  replicator = await TestReplicator.start()
  bad = new BadSectors()
  replicator.wrap = (disk) => bad.under(disk)
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  source = randomBytesFrom(random, sizeBytes)
  await connect()
  await sendAll()
})
afterEach(async () => {
  agent.destroy()
  await replicator.end()
})

function served() {
  const [server] = replicator.registry.servers
  if (server === undefined) throw new Error('The server is not assigned')
  return server
}

/** Resolves when so many blocks are known to be damaged. */
async function foundDamaged(count: number): Promise<void> {
  await until(
    `${count} blocks are known to be damaged`,
    () => Promise.resolve(served().scrub.damagedBlocks === count),
    10_000,
    5,
  )
}

/** The agent tells its figures; answers the extents that the replicator asks for again. */
async function askedFor(): Promise<[number, number][]> {
  agent.send({ type: 'STATUS', body: { state: 'CONTINUOUS', backlogBytes: 0, lagMs: 0, disks: [] } })
  agent.send({ type: 'PING' })
  await agent.next('PONG')
  const asked: [number, number][] = []
  while (agent.received.some((message) => message.type === 'DAMAGED')) {
    const { firstBlock, blockCount: count } = await agent.next('DAMAGED')
    asked.push([firstBlock, count])
  }
  return asked
}

async function differing(): Promise<number[]> {
  agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount, hashes: blockHashes(source) })
  const { bitmap } = await agent.next('DIFFERENCES')
  return Array.from({ length: blockCount }, (_, block) => block).filter(
    (block) => ((bitmap[block >> 3] ?? 0) >> (block & 7)) & 1,
  )
}

async function isRefusedAPoint(): Promise<void> {
  agent.send({ type: 'BARRIER', body: barrier })
  expect(await agent.closed()).toMatchObject({
    code: 'VOLUME_IO_ERROR',
    message: expect.stringContaining('blocks of volume vol-0 are damaged on the staging disk'),
  })
}

/** The copy is the source, byte for byte, and a point says so. */
async function isWhole(): Promise<void> {
  expect(await askedFor()).toEqual([])
  expect(await differing()).toEqual([])
  agent.send({ type: 'BARRIER', body: barrier })
  await agent.next('BARRIER_REACHED')
  expect(readFileSync(replicator.volumePath(0)).equals(source)).toBe(true)
}

/** Sentences for the operator that a heartbeat carries now. */
function told(): string[] {
  return (replicator.registry.beginBeat().sessions[0]?.notes ?? []).map(
    ({ level, message }) => `${level} ${message}`,
  )
}

/** What the disk gives for the sector at `offset` once it can be read again. */
function scribble(offset: number): void {
  const file = openSync(replicator.volumePath(0), 'r+')
  writeSync(file, randomBytesFrom(random, 512), 0, 512, offset)
  closeSync(file)
}

describe('a sector that cannot be read under a block that is not known', () => {
  it('after an unclean end is a damaged block: asked for, told, no point before it, healed by a write', async () => {
    const offset = 6 * blockSizeBytes + 1024
    bad.add(offset)
    bad.add(sizeBytes - 512)
    await killAndStart()
    scribble(offset)
    scribble(sizeBytes - 512)
    await connect()
    await foundDamaged(2)
    expect(await askedFor()).toEqual([
      [6, 1],
      [39, 1],
    ])
    expect(told()).toEqual([
      expect.stringMatching(
        /^ERROR The copy of disk 0 \(volume vol-0\) is damaged on the staging disk at byte 393216 \(65536 bytes\)/,
      ),
      expect.stringContaining(`at byte ${39 * blockSizeBytes} (65024 bytes)`),
    ])
    expect(served().report().error).toBeUndefined()
    expect(await differing()).toEqual([6, 39])
    source.fill(7, 20 * blockSizeBytes, 21 * blockSizeBytes)
    await agent.ack(agent.sendBlocks(0, source, 20, 1))
    await isRefusedAPoint()
    await connect()
    for (const block of [6, 39]) await agent.ack(agent.sendBlocks(0, source, block, 1))
    expect(bad.count).toBe(0)
    await isWhole()
  })

  it('stays damaged through a kill, though the disk can read it again and gives something else', async () => {
    const offset = 17 * blockSizeBytes
    bad.add(offset)
    await killAndStart()
    await connect()
    await foundDamaged(1)
    bad.clear()
    scribble(offset)
    await killAndStart()
    await connect()
    await foundDamaged(1)
    expect(await askedFor()).toEqual([[17, 1]])
    expect(await differing()).toEqual([17])
    await isRefusedAPoint()
    await connect()
    await agent.ack(agent.sendBlocks(0, source, 17, 1))
    await isWhole()
  })

  it('of which a piece was written is found when it is read, and is not mended by pieces', async () => {
    source.fill(5, 9 * blockSizeBytes, 9 * blockSizeBytes + 4096)
    await agent.ack(agent.send(piecesOf(0, source, [9 * 16])))
    bad.add(9 * blockSizeBytes + 8192)
    scribble(9 * blockSizeBytes + 8192)
    await served().update(
      { ...served().assignment, consistencyPoint: { consistencyPointId: 'cp-9', state: 'REQUESTED' } },
      0,
    )
    await foundDamaged(1)
    source.fill(6, 9 * blockSizeBytes + 8192, 9 * blockSizeBytes + 12_288)
    await agent.ack(agent.send(piecesOf(0, source, [9 * 16 + 2])))
    expect(bad.count).toBe(0)
    expect(await askedFor()).toEqual([[9, 1]])
    await isRefusedAPoint()
    await connect()
    await agent.ack(agent.sendBlocks(0, source, 9, 1))
    await isWhole()
  })

  it('is found by a point as well, which is not reached', async () => {
    source.fill(5, 9 * blockSizeBytes, 9 * blockSizeBytes + 4096)
    await agent.ack(agent.send(piecesOf(0, source, [9 * 16])))
    bad.add(9 * blockSizeBytes + 8192)
    scribble(9 * blockSizeBytes + 8192)
    await isRefusedAPoint()
    expect(agent.received.map((message) => message.type)).toEqual(['DAMAGED', 'ERROR'])
    await connect()
    expect(await askedFor()).toEqual([[9, 1]])
    await agent.ack(agent.sendBlocks(0, source, 9, 1))
    await isWhole()
  })

  it('takes zeros that are said of it', async () => {
    bad.add(3 * blockSizeBytes)
    await killAndStart()
    await connect()
    source.fill(0, 2 * blockSizeBytes, 5 * blockSizeBytes)
    await agent.ack(agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 2, blockCount: 3 }))
    expect(bad.count).toBe(0)
    await isWhole()
  })

  it('is the fault of the disk when it cannot be written either, and goes on once it can', async () => {
    bad.add(6 * blockSizeBytes)
    bad.isWornOut = true
    await killAndStart()
    await connect()
    await foundDamaged(1)
    agent.sendBlocks(0, source, 6, 1)
    expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    expect(served().report().error).toMatch(/Cannot write to volume vol-0: EIO.*check the staging disk/)
    bad.isWornOut = false
    await connect()
    await foundDamaged(1)
    await agent.ack(agent.sendBlocks(0, source, 6, 1))
    await isWhole()
  })

  it('is damaged too where a failed flush makes everything be written again', async () => {
    let isFailing = false
    let flushesToReadable = Infinity
    replicator.wrap = (disk) => {
      const own = bad.under(disk)
      const flush = async (): Promise<void> => {
        if (isFailing) throw Object.assign(new Error('Injected EIO at a flush'), { code: 'EIO' })
        flushesToReadable -= 1
        if (flushesToReadable === 0) bad.clear()
        await own.flush()
      }
      return { ...own, flush }
    }
    await killAndStart()
    await connect()
    await sendAll()
    isFailing = true
    agent.sendBlocks(0, source, 30, 1)
    expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    isFailing = false
    bad.add(6 * blockSizeBytes + 4096)
    scribble(6 * blockSizeBytes + 4096)
    // Readable again once everything was written again: what is read of it then may be in memory only.
    flushesToReadable = 2
    await connect()
    expect(bad.count).toBe(0)
    expect(await askedFor()).toEqual([[6, 1]])
    expect(told()).toEqual([expect.stringContaining(`at byte ${6 * blockSizeBytes} (65536 bytes)`)])
    for (const block of [6, 30]) await agent.ack(agent.sendBlocks(0, source, block, 1))
    await isWhole()
  })
})
