import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DirtyMap } from '../../../agent/sync/dirty_map.ts'

describe('DirtyMap', () => {
  it('is a set of block numbers, whatever ranges are marked and cleared', () => {
    const range = fc.tuple(fc.boolean(), fc.integer({ min: -5, max: 220 }), fc.integer({ min: 0, max: 120 }))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(range, { maxLength: 30 }),
        (blockCount, ranges) => {
          const map = new DirtyMap(blockCount)
          const model = new Set<number>()
          for (const [isMark, first, count] of ranges) {
            if (isMark) map.mark(first, count)
            else map.clear(first, count)
            for (let index = Math.max(0, first); index < Math.min(blockCount, first + count); index++) {
              if (isMark) model.add(index)
              else model.delete(index)
            }
          }
          expect(map.count).toBe(model.size)
          const found = [...map.extents(0, 16, 16)]
          const blocks = found.flatMap((extent) =>
            Array.from({ length: extent.blockCount }, (_, index) => extent.firstBlock + index),
          )
          expect(blocks).toEqual([...model].sort((a, b) => a - b))
          for (const { firstBlock, blockCount: length } of found) {
            expect(length).toBeLessThanOrEqual(16)
            expect(Math.floor(firstBlock / 16)).toBe(Math.floor((firstBlock + length - 1) / 16))
          }
          for (let from = 0; from <= blockCount; from++) {
            expect(map.firstFrom(from)).toBe(
              [...model].filter((block) => block >= from).sort((a, b) => a - b)[0],
            )
            expect(map.countFrom(from)).toBe([...model].filter((block) => block >= from).length)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('takes 2 MiB for a disk of a tebibyte and walks it at once', () => {
    const map = new DirtyMap(2 ** 40 / 65_536)
    map.mark(0, map.blockCount)
    expect(map.count).toBe(2 ** 24)
    expect(map.countFrom(2 ** 23 + 1)).toBe(2 ** 23 - 1)
    map.clear(0, map.blockCount)
    map.mark(2 ** 24 - 1, 1)
    expect([...map.extents(0, 16)]).toEqual([{ firstBlock: 2 ** 24 - 1, blockCount: 1 }])
  })

  it('sees marks made ahead of the walk', () => {
    const map = new DirtyMap(100)
    map.mark(3, 1)
    const seen: number[] = []
    for (const { firstBlock } of map.extents(0, 1)) {
      seen.push(firstBlock)
      map.clear(firstBlock, 1)
      if (firstBlock === 3) map.mark(50, 1)
      if (firstBlock === 50) map.mark(3, 1)
    }
    expect(seen).toEqual([3, 50])
    expect(map.has(3)).toBe(true)
  })
})
