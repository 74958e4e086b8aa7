import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { HashIndex, indexBytes } from '../../../replicator/hash_index.ts'
import type { Disk } from '../../../replicator/disk.ts'
import { blockHash, unknownHash } from '../../../wire/hash.ts'

/** An index of `blocks` blocks in memory, all of them known, that counts what is written to it. */
async function makeIndex(blocks: number) {
  const bytes = Buffer.alloc(indexBytes(blocks))
  const count = { writes: 0 }
  /** What writes and flushes wait for. */
  const stuck = { write: Promise.resolve(), flush: Promise.resolve() }
  const disk: Disk = {
    sizeBytes: bytes.length,
    read: (into, offset) => Promise.resolve(bytes.copy(into, 0, offset, offset + into.length)),
    write: async (from, offset) => {
      await stuck.write
      count.writes += 1
      bytes.set(from, offset)
      return from.length
    },
    flush: () => stuck.flush,
    check: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const index = new HashIndex(disk)
  const hash = blockHash(Buffer.from('some block'))
  for (let block = 0; block < blocks; block++) await index.write(block, hash)
  count.writes = 0
  /** Blocks that the file says nothing of. */
  const unknown = (): number[] =>
    Array.from({ length: blocks }, (_, block) => block).filter((block) =>
      bytes.subarray(indexBytes(block), indexBytes(block + 1)).equals(unknownHash),
    )
  return { index, hash, count, stuck, unknown }
}

const one = (firstBlock: number) => ({ firstBlock, blockCount: 1 })

describe('HashIndex.save()', () => {
  it('writes a block in doubt once, however often it is doubted, and again after its hash was known', async () => {
    const { index, hash, count, unknown } = await makeIndex(100)
    const all = { firstBlock: 0, blockCount: 100 }
    for (let round = 0; round < 5; round++) {
      for (const block of [3, 7, 50]) index.doubt(one(block))
      expect(await index.save([all], 10)).toEqual(new Set([all]))
    }
    expect(count.writes).toBe(3)
    expect(unknown()).toEqual([3, 7, 50])
    await index.write(7, hash)
    index.doubt(one(7))
    await index.save([all], 10)
    expect(unknown()).toEqual([3, 7, 50])
    expect(count.writes).toBe(5)
  })

  it('leaves extents for later that would take too many writes, and names those of which all is in the file', async () => {
    const { index, count, unknown } = await makeIndex(300)
    const extents = [0, 100, 200].map((firstBlock) => ({ firstBlock, blockCount: 100 }))
    for (const block of [1, 5]) index.doubt(one(block))
    for (let block = 100; block < 200; block += 2) index.doubt(one(block))
    index.doubt(one(250))
    const saved = await index.save(extents, 20)
    expect([...saved].map(({ firstBlock }) => firstBlock)).toEqual([0, 200])
    expect(unknown()).toEqual([1, 5, 250])
    expect(count.writes).toBe(3)
    // What is not in the file is unknown all the same.
    expect([...(await index.read(102, 1))]).toEqual([...unknownHash])
    expect((await index.save(extents, 60)).size).toBe(3)
    expect(unknown()).toHaveLength(53)
  })
})

describe('HashIndex', () => {
  it('has in the file what was doubted before a save when that ends, also when another save is at it', async () => {
    const { index, stuck, unknown } = await makeIndex(100)
    const all = { firstBlock: 0, blockCount: 100 }
    const writing = Promise.withResolvers<void>()
    stuck.write = writing.promise
    index.doubt(one(3))
    const first = index.save([all], 10)
    let isSecondOver = false
    const second = index.save([all], 10).then(() => {
      isSecondOver = true
    })
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect(isSecondOver).toBe(false)
    writing.resolve()
    await Promise.all([first, second])
    expect(unknown()).toEqual([3])
  })

  it('never says again that anything is durable after it has failed', async () => {
    const { index, stuck } = await makeIndex(100)
    const all = { firstBlock: 0, blockCount: 100 }
    stuck.flush = Promise.reject(new Error('Injected EIO'))
    index.doubt(one(3))
    await expect(index.save([all], 10)).rejects.toThrow('Injected EIO')
    stuck.flush = Promise.resolve()
    await expect(index.save([all], 10)).rejects.toThrow('Injected EIO')
    await expect(index.flush()).rejects.toThrow('Injected EIO')
  })
})
