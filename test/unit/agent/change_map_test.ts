import { describe, expect, it } from 'vitest'
import { ChangeMap } from '../../../agent/sync/change_map.ts'
import { pieceBatches } from '../../../agent/sync/piece_batches.ts'
import { numbersOf, piecesIn } from '../../../agent/sync/piece_masks.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { blockSizeBytes, pieceSizeBytes, piecesPerBlock } from '../../../domain/units.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const seed = seedFor('change map')

/** Every piece that must be copied. */
function piecesOf(map: ChangeMap): Set<number> {
  const pieces = new Set<number>()
  for (const { firstBlock, blockCount } of map.extents(0, Number.MAX_SAFE_INTEGER)) {
    const end = (firstBlock + blockCount) * piecesPerBlock
    for (let piece = firstBlock * piecesPerBlock; piece < end; piece++) pieces.add(piece)
  }
  for (const block of map.piecedBlocks())
    for (const piece of numbersOf(block, map.piecesOf(block))) {
      if (pieces.has(piece)) throw new Error(`Block ${block} is marked whole and in pieces`)
      pieces.add(piece)
    }
  return pieces
}

describe('ChangeMap', () => {
  it('ignores pieces outside the disk, until it has grown', () => {
    // One block and two pieces, the second of which is short.
    const map = new ChangeMap(blockSizeBytes + pieceSizeBytes + 512, new PieceRoom())
    map.markPieces(1, 0b1110)
    map.markPieces(2, 1)
    expect([map.count, map.bytes, [...piecesOf(map)]]).toEqual([1, pieceSizeBytes, [piecesPerBlock + 1]])
    map.grow(3 * blockSizeBytes)
    map.markPieces(1, 0b1000)
    map.markPieces(2, 1)
    expect([...piecesOf(map)]).toEqual([piecesPerBlock + 1, piecesPerBlock + 3, 2 * piecesPerBlock])
  })

  it('never forgets a sector, whatever is marked and cleared, and marks no block that was not touched', () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 25; round++) {
      const sizeBytes = randomInt(random, 1, 20) * blockSizeBytes + randomInt(random, 1, 120) * 512
      const sectors = sizeBytes / 512
      const room = new PieceRoom(randomInt(random, 0, 12))
      const map = new ChangeMap(sizeBytes, room)
      const marked = new Set<number>()
      for (let step = 0; step < 60; step++) {
        const block = randomInt(random, 0, map.blockCount - 1)
        const chance = random()
        if (chance < 0.65) {
          const first = randomInt(random, 0, sectors - 1)
          const count = random() < 0.1 ? randomInt(random, 1, 900) : randomInt(random, 1, 24)
          map.markSectors(first, count)
          for (let sector = first; sector < Math.min(sectors, first + count); sector++)
            marked.add(Math.floor(sector / 8))
        } else if (chance < 0.8) {
          const count = randomInt(random, 1, 4)
          map.clear(block, count)
          for (const piece of marked)
            if (piece >= block * piecesPerBlock && piece < (block + count) * piecesPerBlock)
              marked.delete(piece)
        } else if (chance < 0.9) {
          const mask = randomInt(random, 1, 0xffff)
          const before = map.piecesOf(block)
          const cleared = map.clearPieces(block, mask)
          expect(cleared).toBe(before & mask)
          for (const piece of numbersOf(block, cleared)) marked.delete(piece)
        } else if (chance < 0.95) {
          map.mark(block, 1)
          marked.add(block * piecesPerBlock)
        } else map.forgetPieces()
        const actual = piecesOf(map)
        expect([...marked].filter((piece) => !actual.has(piece))).toEqual([])
        const blocks = new Set([...marked].map((piece) => Math.floor(piece / piecesPerBlock)))
        expect(new Set([...actual].map((piece) => Math.floor(piece / piecesPerBlock)))).toEqual(blocks)
        expect(map.count).toBe(blocks.size)
        expect(map.bytes).toBe(actual.size * pieceSizeBytes)
        const before = [...actual].filter((piece) => piece < block * piecesPerBlock)
        expect(map.bytesBefore(block)).toBe(before.length * pieceSizeBytes)
        expect([...blocks].every((one) => map.has(one))).toBe(true)
      }
      map.takeAll()
      expect([map.count, map.bytes]).toEqual([0, 0])
    }
  })

  it('gives every place in the shared room back', () => {
    const room = new PieceRoom(3)
    const map = new ChangeMap(100 * blockSizeBytes, room)
    for (const block of [1, 2, 3, 4]) map.markPieces(block, 1)
    expect(map.piecedBlocks()).toEqual([1, 2, 3])
    expect([...map.extents(0, 100)]).toEqual([{ firstBlock: 4, blockCount: 1 }])
    map.mark(1, 1)
    map.clearPieces(2, 1)
    map.clear(3, 1)
    expect([room.take(), room.take(), room.take(), room.take()]).toEqual([true, true, true, false])
  })

  it('marks a block whole from twelve pieces on', () => {
    const map = new ChangeMap(4 * blockSizeBytes, new PieceRoom())
    map.markSectors(0, 11 * 8)
    expect(piecesIn(map.piecesOf(0))).toBe(11)
    map.markSectors(15 * 8, 1)
    expect([map.piecesOf(0), map.bytes]).toEqual([0, blockSizeBytes])
  })

  it('counts positions beyond 32 bits', () => {
    const map = new ChangeMap(2 ** 43, new PieceRoom())
    map.markSectors(2 ** 33 + 9, 8)
    expect([map.piecedBlocks(), map.piecesOf(2 ** 26)]).toEqual([[2 ** 26], 0b110])
  })
})

describe('pieceBatches()', () => {
  it('gives every piece once, at most so many, of one lane, ascending', () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 50; round++) {
      const masks = new Map(
        Array.from({ length: randomInt(random, 1, 80) }, () => [
          randomInt(random, 0, 500),
          randomInt(random, 0, 0xffff),
        ]),
      )
      const most = randomInt(random, 16, 60)
      const lanes = randomInt(random, 1, 4)
      const blocks = [...masks.keys()].sort((a, b) => a - b)
      const batches = [
        ...pieceBatches(
          blocks,
          (block) => masks.get(block) ?? 0,
          (block) => block % lanes,
          most,
        ),
      ]
      for (const batch of batches) {
        expect(batch.reduce((sum, [, mask]) => sum + piecesIn(mask), 0)).toBeLessThanOrEqual(most)
        expect(new Set(batch.map(([block]) => block % lanes)).size).toBe(1)
        expect(batch.map(([block]) => block)).toEqual(batch.map(([block]) => block).sort((a, b) => a - b))
      }
      expect(batches.flat().toSorted(([a], [b]) => a - b)).toEqual(
        blocks.map((block) => [block, masks.get(block)]).filter(([, mask]) => mask !== 0),
      )
    }
  })
})
