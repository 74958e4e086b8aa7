import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockCountOf, blockSizeBytes } from '../../../domain/units.ts'
import { blockHashes, rootOf, unknownHash } from '../../../wire/hash.ts'
import type { Message } from '../../../wire/message.ts'
import { helloOf, piecesOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const blockCount = 12
const sizeBytes = blockCount * blockSizeBytes - 512

let replicator: TestReplicator
let source: Buffer
let agent: TestAgent

async function connect(generation = 1): Promise<void> {
  agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes, { generation }))
}

beforeEach(async () => {
  replicator = await TestReplicator.start()
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  source = randomBytes(sizeBytes)
  source.fill(0, 2 * blockSizeBytes, 4 * blockSizeBytes)
  await connect()
  await agent.ack(agent.sendBlocks(0, source, 0, blockCount))
})
afterEach(async () => {
  agent.destroy()
  await replicator.end()
})

/** Changes one byte behind everybody's back. */
function flip(path: string, offset: number): void {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, offset)
  writeSync(file, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset)
  closeSync(file)
}
const flipData = (offset: number): void => flip(replicator.volumePath(0), offset)
const flipIndex = (block: number): void =>
  flip(join(replicator.folder, 'state/volumes/vol-0/hashes'), block * 32 + 7)

function positions(bitmap: Uint8Array): number[] {
  return Array.from({ length: bitmap.length * 8 }, (_, index) => index).filter(
    (index) => (((bitmap[index >> 3] ?? 0) >> (index & 7)) & 1) === 1,
  )
}

async function verify(hashes = blockHashes(source)): Promise<Extract<Message, { type: 'VERIFIED' }>> {
  agent.send({ type: 'VERIFY', diskIndex: 0, firstBlock: 0, blockCount: hashes.length / 32, hashes })
  return await agent.next('VERIFIED')
}

/** The agent tells its figures; answers the extents that the replicator asks for again. */
async function damageTold(): Promise<[number, number][]> {
  const body = { state: 'CONTINUOUS', backlogBytes: 0, lagMs: 0, disks: [] } as const
  agent.send({ type: 'STATUS', body: { ...body, disks: [] } })
  agent.send({ type: 'PING' })
  await agent.next('PONG')
  const told: [number, number][] = []
  while (agent.received.some((message) => message.type === 'DAMAGED')) {
    const { firstBlock, blockCount: count } = await agent.next('DAMAGED')
    told.push([firstBlock, count])
  }
  return told
}

const barrier = { consistencyPointId: 'cp-1', hold: false, method: 'QUIET', frozenMs: 0 } as const

describe('VERIFY', () => {
  it('answers with the root of the data, and with nothing else while all is well', async () => {
    const { root, differing, damaged } = await verify()
    expect([...root]).toEqual([...rootOf(blockHashes(source))])
    expect([positions(differing), positions(damaged)]).toEqual([[], []])
    const other = blockHashes(source)
    other.set(unknownHash, 3 * 32)
    other[11 * 32] = (other[11 * 32] ?? 0) ^ 1
    const compared = await verify(other)
    expect([positions(compared.differing), positions(compared.damaged)]).toEqual([[3, 11], []])
    expect(await damageTold()).toEqual([])
  })

  it('sees the writes of its connection that came before it', async () => {
    const changed = Buffer.from(source)
    changed.fill(7, 5 * blockSizeBytes, 6 * blockSizeBytes)
    agent.sendBlocks(0, changed, 5, 1)
    const { differing, damaged } = await verify(blockHashes(changed))
    expect([positions(differing), positions(damaged)]).toEqual([[], []])
  })

  it.each([
    ['the first byte', 0, 0],
    ['a block of zeros', 3 * blockSizeBytes - 1, 2],
    ['the last byte', sizeBytes - 1, 11],
  ])(
    'finds %s flipped in the volume, asks for that block until it comes, and reaches no point before',
    async (_name, offset, block) => {
      flipData(offset)
      const found = await verify()
      expect([positions(found.differing), positions(found.damaged)]).toEqual([[block], [block]])
      expect([...found.root]).not.toEqual([...rootOf(blockHashes(source))])
      expect(await damageTold()).toEqual([[block, 1]])
      agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount, hashes: blockHashes(source) })
      expect(positions((await agent.next('DIFFERENCES')).bitmap)).toEqual([block])
      agent.send({ type: 'BARRIER', body: barrier })
      expect(await agent.closed()).toMatchObject({
        code: 'VOLUME_IO_ERROR',
        retryable: true,
        message: expect.stringContaining(
          `1 blocks of volume vol-0 are damaged on the staging disk, the first at byte ${block * blockSizeBytes}`,
        ),
      })
      expect(agent.received.map((message) => message.type)).toEqual(['DAMAGED', 'ERROR'])
      await connect()
      expect(await damageTold()).toEqual([[block, 1]])
      await agent.ack(agent.sendBlocks(0, source, block, 1))
      expect(await damageTold()).toEqual([])
      const mended = await verify()
      expect([positions(mended.differing), positions(mended.damaged)]).toEqual([[], []])
      expect(readFileSync(replicator.volumePath(0)).equals(source)).toBe(true)
      agent.send({ type: 'BARRIER', body: barrier })
      expect((await agent.next('BARRIER_REACHED')).body.roots).toHaveLength(1)
    },
  )

  it('finds an index that is wrong though the data are right', async () => {
    flipIndex(4)
    const found = await verify()
    expect([positions(found.differing), positions(found.damaged)]).toEqual([[], [4]])
    expect(await damageTold()).toEqual([[4, 1]])
    await agent.ack(agent.sendBlocks(0, source, 4, 1))
    expect(positions((await verify()).damaged)).toEqual([])
  })

  it('takes a write of zeros for a repair', async () => {
    flipData(2 * blockSizeBytes)
    expect(positions((await verify()).damaged)).toEqual([2])
    await agent.ack(agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 2, blockCount: 2 }))
    const { differing, damaged } = await verify()
    expect([positions(differing), positions(damaged)]).toEqual([[], []])
  })

  it.each([
    ['the replicator was killed', 'kill'],
    ['the replicator was started again in order', 'close'],
  ] as const)('still knows of the damage after %s', async (_name, end) => {
    flipData(blockSizeBytes)
    flipData(9 * blockSizeBytes)
    flipData(10 * blockSizeBytes)
    expect(positions((await verify()).damaged)).toEqual([1, 9, 10])
    // Marks the segment as being written: after an unclean end its entries are doubtful, but for this.
    await agent.ack(agent.sendBlocks(0, source, 5, 1))
    await replicator[end]()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    await connect(2)
    // Found while the index is read in the background, or by the point itself.
    agent.send({ type: 'BARRIER', body: barrier })
    expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    await connect(2)
    expect(await damageTold()).toEqual([
      [1, 1],
      [9, 2],
    ])
    await agent.ack(agent.sendBlocks(0, source, 0, blockCount))
    expect(await damageTold()).toEqual([])
  })

  it.each([
    ['the replicator was killed', 'kill'],
    ['the replicator was started again in order', 'close'],
  ] as const)('takes no piece of a block for a repair, not after %s either', async (_name, end) => {
    flipData(9 * blockSizeBytes)
    expect(positions((await verify()).damaged)).toEqual([9])
    // Blocks 8 and 9: the first is only not known any more, the second stays damaged.
    const changed = Buffer.from(source)
    changed.fill(5, 8 * blockSizeBytes, 8 * blockSizeBytes + 4096)
    changed.fill(6, 9 * blockSizeBytes + 4096, 9 * blockSizeBytes + 8192)
    await agent.ack(agent.send(piecesOf(0, changed, [8 * 16, 9 * 16 + 1])))
    const differing = async () => {
      agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount, hashes: blockHashes(changed) })
      return positions((await agent.next('DIFFERENCES')).bitmap)
    }
    expect(await differing()).toEqual([9])
    expect(await damageTold()).toEqual([[9, 1]])
    await agent.ack(agent.send(piecesOf(0, changed, [9 * 16 + 1])))
    await replicator[end]()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    await connect(2)
    expect(await differing()).toEqual([9])
    agent.send({ type: 'BARRIER', body: barrier })
    expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    await connect(2)
    expect(await damageTold()).toEqual([[9, 1]])
    await agent.ack(agent.sendBlocks(0, changed, 9, 1))
    expect(await damageTold()).toEqual([])
    expect(await differing()).toEqual([])
    agent.send({ type: 'BARRIER', body: barrier })
    expect((await agent.next('BARRIER_REACHED')).body.roots).toHaveLength(1)
    expect(readFileSync(replicator.volumePath(0)).equals(changed)).toBe(true)
  })

  it('takes sectors of the staging disk that cannot be read for damaged blocks, and serves the others', async () => {
    agent.destroy()
    await replicator.close()
    let isBad = false
    replicator.wrap = (disk) =>
      withCalls(disk, {
        read: (into, offset) => {
          const bad = 6 * blockSizeBytes + 512
          if (isBad && offset <= bad && bad < offset + into.length)
            return Promise.reject(Object.assign(new Error('bad sector'), { code: 'EIO' }))
          return disk.read(into, offset)
        },
      })
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    await connect(2)
    isBad = true
    const { differing, damaged } = await verify()
    expect([positions(differing), positions(damaged)]).toEqual([[6], [6]])
    expect(await damageTold()).toEqual([[6, 1]])
    isBad = false
    await agent.ack(agent.sendBlocks(0, source, 6, 1))
    expect(positions((await verify()).damaged)).toEqual([])
  })

  it('refuses blocks beyond the disk', async () => {
    agent.send({
      type: 'VERIFY',
      diskIndex: 0,
      firstBlock: blockCountOf(sizeBytes),
      blockCount: 1,
      hashes: new Uint8Array(32),
    })
    expect(await agent.closed()).toMatchObject({ code: 'OUT_OF_RANGE' })
  })
})
