import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import {
  FrameDecoder,
  FrameEncoder,
  frameHeaderBytes,
  maxPayloadBytes,
  WireError,
} from '../../../wire/frame.ts'
import { encodings, messageTypes } from '../../../wire/message.ts'
import type { Message } from '../../../wire/message.ts'
import { seedFor } from '../../fixtures/seed.ts'
import { anyMessage, decodeAll, encodeAll, plain } from './frame_messages.ts'

const seed = seedFor('frame decoder')

const sample: Message[] = [
  { type: 'PING' },
  {
    type: 'BLOCKS',
    diskIndex: 1,
    firstBlock: 4,
    blockCount: 2,
    rawBytes: blockSizeBytes + 100,
    encoding: encodings.ZSTD,
    hashes: new Uint8Array(64).fill(4),
    payload: Uint8Array.from({ length: 50 }, (_, index) => index),
  },
  { type: 'GOODBYE' },
  { type: 'ZEROS', diskIndex: 0, firstBlock: 1, blockCount: 9 },
  { type: 'BARRIER', body: { consistencyPointId: 'cp-1', hold: true, method: 'QUIET', frozenMs: 0 } },
  { type: 'PONG' },
]

describe('FrameDecoder', () => {
  it('does not care where the stream is cut', () => {
    const stream = encodeAll(sample)
    const expected = sample.map(plain)
    for (let cut = 0; cut <= stream.length; cut++) {
      expect(decodeAll(stream, [cut]).map((frame) => plain(frame.message))).toEqual(expected)
    }
    const everyByte = Array.from({ length: stream.length }, (_, index) => index)
    expect(decodeAll(stream, everyByte).map((frame) => plain(frame.message))).toEqual(expected)
  })

  it('decodes any messages cut anywhere', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 6 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        (messages, where) => {
          const stream = encodeAll(messages)
          const cuts = where.map((part) => Math.floor(part * stream.length)).sort((a, b) => a - b)
          const decoder = new FrameDecoder()
          expect(decodeAll(stream, cuts, decoder).map((frame) => plain(frame.message))).toEqual(
            messages.map(plain),
          )
          expect(decoder.isMidFrame).toBe(false)
        },
      ),
      { seed, numRuns: 200 },
    )
  })

  it('waits for the rest of a cut stream and says that it is in the middle', () => {
    const stream = encodeAll(sample)
    const ends = new Set([0])
    const encoder = new FrameEncoder()
    let end = 0
    for (const message of sample) ends.add((end += encoder.encode(message).wireBytes))
    for (let length = 0; length <= stream.length; length++) {
      const decoder = new FrameDecoder()
      const frames = decodeAll(stream.subarray(0, length), [], decoder)
      expect(frames.length).toBe([...ends].filter((position) => position > 0 && position <= length).length)
      expect(decoder.isMidFrame).toBe(!ends.has(length))
    }
  })

  it('gives whole payloads as views and cut ones in the memory of the allocator', () => {
    const stream = encodeAll(sample)
    const asked: number[] = []
    const memory = Buffer.alloc(4096)
    const allocate = (bytes: number): Uint8Array => {
      asked.push(bytes)
      return memory
    }
    const payloadOf = (cuts: number[]): Uint8Array | undefined => {
      const decoder = new FrameDecoder({ allocate })
      let found: Uint8Array | undefined
      let start = 0
      for (const end of [...cuts, stream.length]) {
        for (const { message } of decoder.push(stream.subarray(start, end))) {
          if (message.type === 'BLOCKS') found = message.payload
        }
        start = end
      }
      return found
    }
    expect(payloadOf([])?.buffer).toBe(stream.buffer)
    expect(asked).toEqual([])
    expect(payloadOf([16 + 16 + 16 + 64 + 10])?.buffer).toBe(memory.buffer)
    expect(asked).toEqual([50])
  })

  it('absorbs what lies inside one part and nothing else', () => {
    const payload = Buffer.alloc(64, 7)
    const stream = encodeAll([
      { type: 'PING' },
      {
        type: 'BLOCKS',
        diskIndex: 0,
        firstBlock: 3,
        blockCount: 1,
        rawBytes: 64,
        encoding: encodings.RAW,
        hashes: new Uint8Array(32),
        payload,
      },
    ])
    const memory = Buffer.alloc(64)
    const decoder = new FrameDecoder({ allocate: () => memory })
    // Between frames, and before the payload has begun, nothing is absorbed.
    expect(decoder.absorb(stream.subarray(0, 4))).toBe(false)
    const begun = stream.length - 50
    expect([...decoder.push(stream.subarray(0, begun))].map(({ message }) => message.type)).toEqual(['PING'])
    expect(decoder.absorb(stream.subarray(begun, stream.length - 1))).toBe(true)
    expect(decoder.isMidFrame).toBe(true)
    // The last byte completes the frame, so it is for the other way.
    expect(decoder.absorb(stream.subarray(stream.length - 1))).toBe(false)
    const [frame] = decoder.push(stream.subarray(stream.length - 1))
    expect(frame?.message).toMatchObject({ type: 'BLOCKS', firstBlock: 3 })
    expect(memory).toEqual(payload)
  })

  it('refuses a gap, a repeat and a wrong start with expected and actual', () => {
    for (const start of [0, 2, 5]) {
      expect(() => decodeAll(encodeAll([{ type: 'PING' }], start))).toThrow(
        expect.objectContaining({ code: 'SEQUENCE_GAP', expected: '1', actual: String(start) }) as Error,
      )
    }
  })

  const header = (
    fields: Partial<Record<'type' | 'flags' | 'disk' | 'meta' | 'payload' | 'sequence', number>>,
  ): Buffer => {
    const bytes = Buffer.alloc(frameHeaderBytes)
    bytes.writeUInt8(fields.type ?? messageTypes.PING, 0)
    bytes.writeUInt8(fields.flags ?? 0, 1)
    bytes.writeUInt16LE(fields.disk ?? 0xffff, 2)
    bytes.writeUInt32LE(fields.meta ?? 0, 4)
    bytes.writeUInt32LE(fields.payload ?? 0, 8)
    bytes.writeUInt32LE(fields.sequence ?? 1, 12)
    return bytes
  }
  const blocks = messageTypes.BLOCKS
  const pieces = messageTypes.PIECES
  it.each([
    ['type 0', { type: 0 }],
    ['type 16', { type: 16 }],
    ['type 255', { type: 255 }],
    ['flags', { flags: 1 }],
    ['a disk in a PING', { disk: 0 }],
    ['no disk in BLOCKS', { type: blocks, meta: 48, payload: 5 }],
    ['disk 60', { type: blocks, disk: 60, meta: 48, payload: 5 }],
    ['meta in a PING', { meta: 1 }],
    ['payload in a PING', { payload: 1 }],
    ['payload in HELLO', { type: messageTypes.HELLO, meta: 10, payload: 1 }],
    ['4 GiB of meta', { type: messageTypes.HELLO, meta: 0xffff_ffff }],
    ['one byte of meta too much', { type: blocks, disk: 0, meta: 16 + 16 * 32 + 1, payload: 5 }],
    ['meta too short', { type: blocks, disk: 0, meta: 47, payload: 5 }],
    ['one byte of payload too much', { type: blocks, disk: 0, meta: 48, payload: maxPayloadBytes + 1 }],
    ['4 GiB of payload', { type: blocks, disk: 0, meta: 48, payload: 0xffff_ffff }],
    ['no disk in PIECES', { type: pieces, meta: 48, payload: 5 }],
    ['no piece', { type: pieces, disk: 0, meta: 40, payload: 5 }],
    ['too many pieces', { type: pieces, disk: 0, meta: 40 + 257 * 8, payload: 5 }],
    ['too much of pieces', { type: pieces, disk: 0, meta: 48, payload: maxPayloadBytes + 1 }],
    ['too many hashes', { type: messageTypes.HASHES, disk: 0, meta: 12 + 4097 * 32 }],
  ])('refuses %s before it takes memory', (_name, fields) => {
    const asked: number[] = []
    const decoder = new FrameDecoder({
      allocate: (bytes) => {
        asked.push(bytes)
        return Buffer.alloc(bytes)
      },
    })
    expect(() => [...decoder.push(header(fields))]).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'BAD_FRAME' }) as Error,
    )
    expect(asked).toEqual([])
  })

  const withMeta = (type: number, meta: Buffer, payload = Buffer.alloc(0), disk = 0xffff): Buffer =>
    Buffer.concat([header({ type, disk, meta: meta.length, payload: payload.length }), meta, payload])
  const blocksMeta = (fields: {
    raw?: number
    count?: number
    encoding?: number
    reserved?: number
    high?: number
  }): Buffer => {
    const meta = Buffer.alloc(16 + 32)
    meta.writeUInt32LE(fields.high ?? 0, 4)
    meta.writeUInt32LE(fields.raw ?? 5, 8)
    meta.writeUInt16LE(fields.count ?? 1, 12)
    meta.writeUInt8(fields.encoding ?? 0, 14)
    meta.writeUInt8(fields.reserved ?? 0, 15)
    return meta
  }
  const piecesMeta = (
    list: readonly (readonly [low: number, high: number])[],
    fields: { raw?: number; count?: number; encoding?: number; reserved?: number } = {},
  ): Buffer => {
    const meta = Buffer.alloc(40 + list.length * 8)
    meta.writeUInt32LE(fields.raw ?? (list.length - 1) * 4096 + 5, 0)
    meta.writeUInt16LE(fields.count ?? list.length, 4)
    meta.writeUInt8(fields.encoding ?? 0, 6)
    meta.writeUInt8(fields.reserved ?? 0, 7)
    for (const [index, [low, high]] of list.entries()) {
      meta.writeUInt32LE(low, 40 + index * 8)
      meta.writeUInt32LE(high, 44 + index * 8)
    }
    return meta
  }
  it.each([
    [
      'pieces out of order',
      withMeta(
        pieces,
        piecesMeta([
          [7, 0],
          [6, 0],
        ]),
        Buffer.alloc(4101),
        0,
      ),
    ],
    [
      'a piece twice',
      withMeta(
        pieces,
        piecesMeta([
          [7, 0],
          [7, 0],
        ]),
        Buffer.alloc(4101),
        0,
      ),
    ],
    ['a piece beyond exact numbers', withMeta(pieces, piecesMeta([[0, 512]]), Buffer.alloc(5), 0)],
    [
      'fewer pieces than their count',
      withMeta(pieces, piecesMeta([[1, 0]], { count: 2 }), Buffer.alloc(5), 0),
    ],
    ['pieces of no bytes', withMeta(pieces, piecesMeta([[1, 0]], { raw: 0 }), Buffer.alloc(0), 0)],
    [
      'a piece that is too long',
      withMeta(pieces, piecesMeta([[1, 0]], { raw: 4097 }), Buffer.alloc(4097), 0),
    ],
    [
      'pieces in an unknown encoding',
      withMeta(pieces, piecesMeta([[1, 0]], { encoding: 2 }), Buffer.alloc(5), 0),
    ],
    [
      'a reserved byte of pieces',
      withMeta(pieces, piecesMeta([[1, 0]], { reserved: 1 }), Buffer.alloc(5), 0),
    ],
    [
      'compressed pieces of nothing',
      withMeta(pieces, piecesMeta([[1, 0]], { encoding: 1 }), Buffer.alloc(0), 0),
    ],
    ['meta that is not JSON', withMeta(messageTypes.HELLO, Buffer.from('{"a":'))],
    ['meta that is not UTF-8', withMeta(messageTypes.STATUS, Buffer.from([0xff, 0xfe]))],
    [
      'a field nobody knows',
      withMeta(
        messageTypes.BARRIER,
        Buffer.from('{"consistencyPointId":"cp-1","hold":true,"method":"QUIET","frozenMs":0,"x":1}'),
      ),
    ],
    ['a prototype as a body', withMeta(messageTypes.BARRIER, Buffer.from('{"__proto__":{"hold":true}}'))],
    ['raw length not of the payload', withMeta(blocks, blocksMeta({ raw: 6 }), Buffer.alloc(5), 0)],
    ['raw length below the count', withMeta(blocks, blocksMeta({ raw: 0 }), Buffer.alloc(0), 0)],
    ['raw length above the count', withMeta(blocks, blocksMeta({ raw: 65_537 }), Buffer.alloc(65_537), 0)],
    ['no block', withMeta(blocks, blocksMeta({ count: 0 }), Buffer.alloc(5), 0)],
    ['more blocks than hashes', withMeta(blocks, blocksMeta({ count: 2, raw: 65_541 }), Buffer.alloc(5), 0)],
    ['an unknown encoding', withMeta(blocks, blocksMeta({ encoding: 2 }), Buffer.alloc(5), 0)],
    ['a reserved byte', withMeta(blocks, blocksMeta({ reserved: 1 }), Buffer.alloc(5), 0)],
    ['a position beyond exact numbers', withMeta(blocks, blocksMeta({ high: 64 }), Buffer.alloc(5), 0)],
    ['zeros of no block', withMeta(messageTypes.ZEROS, Buffer.alloc(12), Buffer.alloc(0), 0)],
  ])('refuses %s', (_name, stream) => {
    expect(() => decodeAll(stream)).toThrow(expect.objectContaining({ code: 'BAD_FRAME' }) as Error)
  })

  it('never throws anything but a WireError, and never takes more than the limit, whatever comes', () => {
    const mutations = fc.array(
      fc.tuple(fc.double({ min: 0, max: 0.999999, noNaN: true }), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 4 },
    )
    const survive = (stream: Uint8Array, cuts: readonly number[]): void => {
      let largest = 0
      const decoder = new FrameDecoder({
        allocate: (bytes) => {
          largest = Math.max(largest, bytes)
          return Buffer.alloc(bytes)
        },
      })
      try {
        decodeAll(stream, cuts, decoder)
      } catch (error) {
        expect(error).toBeInstanceOf(WireError)
        expect(() =>
          new FrameEncoder().encode({ type: 'ERROR', body: (error as WireError).toBody() }),
        ).not.toThrow()
      }
      expect(largest).toBeLessThanOrEqual(maxPayloadBytes)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (stream) =>
        survive(stream, [Math.min(17, stream.length)]),
      ),
      { seed, numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 3 }), mutations, (messages, changes) => {
        const stream = encodeAll(messages)
        // Half of the changes hit the first header or meta, where they matter most.
        for (const [index, [where, value]] of changes.entries()) {
          const reach = index % 2 === 0 ? Math.min(64, stream.length) : stream.length
          stream[Math.floor(where * reach)] = value
        }
        survive(stream, [Math.min(20, stream.length)])
      }),
      { seed, numRuns: 1500 },
    )
  })
})
