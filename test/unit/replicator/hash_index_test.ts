import { describe, expect, it } from 'vitest'
import { HashIndex, indexBytes } from '../../../replicator/hash_index.ts'
import type { Disk } from '../../../replicator/disk.ts'
import { blockHash, unknownHash } from '../../../wire/hash.ts'

/** An index of `blocks` blocks in memory, all of them known, that counts what is written to it. */
async function makeIndex(blocks: number) {
  const bytes = Buffer.alloc(indexBytes(blocks))
  const count = { writes: 0 }
  const disk: Disk = {
    sizeBytes: bytes.length,
    read: (into, offset) => Promise.resolve(bytes.copy(into, 0, offset, offset + into.length)),
    write: (from, offset) => {
      count.writes += 1
      bytes.set(from, offset)
      return Promise.resolve(from.length)
    },
    flush: () => Promise.resolve(),
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
  return { index, hash, count, unknown }
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
