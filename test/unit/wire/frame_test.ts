import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockSizeBytes, maxExtentBlocks, pieceSizeBytes } from '../../../domain/units.ts'
import {
  FrameDecoder,
  FrameEncoder,
  frameHeaderBytes,
  isUpTo,
  maxMetaBytes,
  maxPayloadBytes,
  nextSequence,
  WireError,
} from '../../../wire/frame.ts'
import { frameLimits, maxBlocksPerDisk, maxPiecesPerDisk, maxPiecesPerFrame } from '../../../wire/limits.ts'
import { encodings, messageTypes } from '../../../wire/message.ts'
import type { Message, MessageType } from '../../../wire/message.ts'
import { seedFor } from '../../fixtures/seed.ts'
import { decodeAll, encodeAll, messageArbitraries, plain } from './frame_messages.ts'

const seed = seedFor('frame')

function roundTrips(type: MessageType): void {
  fc.assert(
    fc.property(messageArbitraries[type] as fc.Arbitrary<Message>, (message) => {
      const stream = encodeAll([message])
      const frames = decodeAll(stream)
      expect(frames.map((frame) => plain(frame.message))).toEqual([plain(message)])
      expect(frames[0]?.sequence).toBe(1)
      expect(frames[0]?.wireBytes).toBe(stream.length)
    }),
    { seed, numRuns: 40 },
  )
}

describe('frames', () => {
  it('HELLO and WELCOME round-trip', () =>
    ['HELLO', 'WELCOME'].forEach((type) => roundTrips(type as MessageType)))
  it('BLOCKS, PIECES, ZEROS and ACK round-trip', () =>
    ['BLOCKS', 'PIECES', 'ZEROS', 'ACK'].forEach((type) => roundTrips(type as MessageType)))
  it('HASHES and DIFFERENCES round-trip', () =>
    ['HASHES', 'DIFFERENCES'].forEach((type) => roundTrips(type as MessageType)))
  it('BARRIER and BARRIER_REACHED round-trip', () =>
    ['BARRIER', 'BARRIER_REACHED'].forEach((type) => roundTrips(type as MessageType)))
  it('PING and PONG round-trip', () => ['PING', 'PONG'].forEach((type) => roundTrips(type as MessageType)))
  it('STATUS, ERROR and GOODBYE round-trip', () =>
    ['STATUS', 'ERROR', 'GOODBYE'].forEach((type) => roundTrips(type as MessageType)))

  it('of every type there is are tested here', () => {
    expect(Object.keys(messageArbitraries).sort()).toEqual(Object.keys(messageTypes).sort())
  })

  it('carry the largest extent', () => {
    const message: Message = {
      type: 'BLOCKS',
      diskIndex: 59,
      firstBlock: maxBlocksPerDisk - 1,
      blockCount: maxExtentBlocks,
      rawBytes: maxExtentBlocks * blockSizeBytes,
      encoding: encodings.RAW,
      hashes: new Uint8Array(maxExtentBlocks * 32).fill(9),
      payload: new Uint8Array(maxExtentBlocks * blockSizeBytes).fill(3),
    }
    const [frame] = decodeAll(encodeAll([message]), [16, 17, 600, 70_000, 900_001])
    expect(frame?.message).toEqual(message)
  })

  it('carry the most pieces', () => {
    const payload = new Uint8Array(maxPiecesPerFrame * pieceSizeBytes).fill(3)
    const message: Message = {
      type: 'PIECES',
      diskIndex: 59,
      pieces: Array.from({ length: maxPiecesPerFrame }, (_, index) => maxPiecesPerDisk - 2000 + index * 7),
      rawBytes: payload.length,
      encoding: encodings.RAW,
      hash: new Uint8Array(32).fill(9),
      payload,
    }
    const [frame] = decodeAll(encodeAll([message]), [16, 17, 600, 70_000, 900_001])
    expect(frame && plain({ ...frame.message, payload: new Uint8Array(0) } as Message)).toEqual(
      plain({ ...message, payload: new Uint8Array(0) }),
    )
    expect(frame?.message.type === 'PIECES' && Buffer.from(payload).equals(frame.message.payload)).toBe(true)
  })

  it('keep every type within the general limits', () => {
    for (const limit of Object.values(frameLimits)) {
      expect(limit.maxMetaBytes).toBeLessThanOrEqual(maxMetaBytes)
      expect(limit.maxPayloadBytes).toBeLessThanOrEqual(maxPayloadBytes)
    }
  })

  it('stand as the protocol document says', () => {
    expect(encodeAll([{ type: 'ACK', upToSequence: 0x01020304 }], 7).toString('hex')).toBe(
      ['05', '00', 'ffff', '04000000', '00000000', '07000000', '04030201'].join(''),
    )
    expect(
      encodeAll([{ type: 'ZEROS', diskIndex: 2, firstBlock: 2 ** 32 + 5, blockCount: 3 }]).toString('hex'),
    ).toBe(['04', '00', '0200', '0c000000', '00000000', '01000000', '0500000001000000', '03000000'].join(''))
  })
})

describe('FrameEncoder', () => {
  it('does not copy the payload', () => {
    const payload = new Uint8Array(blockSizeBytes)
    const frame = new FrameEncoder().encode({
      type: 'BLOCKS',
      diskIndex: 0,
      firstBlock: 0,
      blockCount: 1,
      rawBytes: blockSizeBytes,
      encoding: encodings.RAW,
      hashes: new Uint8Array(32),
      payload,
    })
    expect(frame.payload).toBe(payload)
    expect(frame.wireBytes).toBe(frameHeaderBytes + 16 + 32 + blockSizeBytes)
  })

  it('refuses what the other end would refuse and uses no number for it', () => {
    const encoder = new FrameEncoder()
    const zeros = { type: 'ZEROS', diskIndex: 0, firstBlock: 0, blockCount: 1 } as const
    expect(() => encoder.encode({ ...zeros, diskIndex: 60 })).toThrow(/disk index 60/)
    expect(() => encoder.encode({ ...zeros, firstBlock: -1 })).toThrow(RangeError)
    expect(() => encoder.encode({ ...zeros, firstBlock: maxBlocksPerDisk })).toThrow(RangeError)
    expect(() => encoder.encode({ ...zeros, blockCount: 0 })).toThrow(WireError)
    expect(() =>
      encoder.encode({
        type: 'HASHES',
        diskIndex: 0,
        firstBlock: 0,
        blockCount: 2,
        hashes: new Uint8Array(32),
      }),
    ).toThrow(/wrong length/)
    expect(encoder.encode(zeros).sequence).toBe(1)
  })

  it('wraps sequence numbers modulo 2^32, and the decoder follows', () => {
    const start = 0xffff_fffe
    const stream = encodeAll([{ type: 'PING' }, { type: 'PONG' }, { type: 'PING' }, { type: 'PONG' }], start)
    const frames = decodeAll(stream, [], new FrameDecoder({ startSequence: start }))
    expect(frames.map((frame) => frame.sequence)).toEqual([0xffff_fffe, 0xffff_ffff, 0, 1])
    expect(nextSequence(0xffff_ffff)).toBe(0)
    expect(isUpTo(0xffff_ffff, 2)).toBe(true)
    expect(isUpTo(2, 0xffff_ffff)).toBe(false)
    expect(isUpTo(5, 5)).toBe(true)
    expect(isUpTo(6, 5)).toBe(false)
  })
})
