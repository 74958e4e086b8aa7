/**
 * A comparison whose reads fail while others are awaited.
 * @module
 */
import { expect, it } from 'vitest'
import type { ComparisonContext } from '../../../agent/sync/comparison.ts'
import { Comparison } from '../../../agent/sync/comparison.ts'
import { ChangeMap } from '../../../agent/sync/change_map.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { hashBytes } from '../../../wire/message.ts'

const blockCount = 64
const pieces = [0, 16, 32, 48].map((firstBlock) => ({ firstBlock, blockCount: 16 }))

it('throws the failure of a read when nothing is under way any more, and leaves none unheard that came before it', async () => {
  const unheard: unknown[] = []
  const hear = (reason: unknown): void => void unheard.push(reason)
  process.on('unhandledRejection', hear)
  try {
    const first = Promise.withResolvers<Uint8Array>()
    const begun: number[] = []
    const dirty = new ChangeMap(blockCount * blockSizeBytes, new PieceRoom(1))
    const context = {
      disk: { diskIndex: 0, dirty },
      sender: { queryHashes: () => Promise.resolve(new Uint8Array(8)) },
      hash: ({ firstBlock }: { firstBlock: number }) => {
        begun.push(firstBlock)
        return firstBlock === 0 ? first.promise : Promise.reject(new Error(`Cannot read ${firstBlock}`))
      },
      piecesAtOnce: 3,
    } as unknown as ComparisonContext
    const compared = new Comparison(context).compare(pieces)
    // The others have failed long since, and nobody has come to them yet.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(begun).toEqual([0, 16, 32])
    first.resolve(new Uint8Array(16 * hashBytes))
    await expect(compared).rejects.toThrow('Cannot read 16')
    expect(unheard).toEqual([])
    expect(dirty.count).toBe(0)
  } finally {
    process.off('unhandledRejection', hear)
  }
})
