import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockSizeBytes, maxExtentBlocks } from '../../../domain/units.ts'
import {
  FrameDecoder,
  FrameEncoder,
  frameHeaderBytes,
  isUpTo,
  maxHashesPerFrame,
  maxMetaBytes,
  maxPayloadBytes,
  nextSequence,
  WireError,
} from '../../../wire/frame.ts'
import type { Frame } from '../../../wire/frame.ts'
import { frameLimits, maxBlocksPerDisk } from '../../../wire/limits.ts'
import { encodings, messageTypes, wireErrorCodes } from '../../../wire/message.ts'
import type { Message, MessageType } from '../../../wire/message.ts'
import { seedFor } from '../../fixtures/seed.ts'

const seed = seedFor('frame')

/** Every message, plain: bytes as arrays that compare by value. */
function plain(message: Message): unknown {
  return Object.fromEntries(
    Object.entries(message).map(([key, value]) => [
      key,
      value instanceof Uint8Array ? [...value] : (value as unknown),
    ]),
  )
}

function encodeAll(messages: readonly Message[], startSequence?: number): Buffer {
  const encoder = new FrameEncoder(startSequence)
  return Buffer.concat(
    messages.flatMap((message) => {
      const { head, payload } = encoder.encode(message)
      return [head, Buffer.from(payload)]
    }),
  )
}

/** Feeds `bytes` cut at `cuts`; frames are copied out because their payload may be overwritten by the next. */
function decodeAll(bytes: Uint8Array, cuts: readonly number[] = [], decoder = new FrameDecoder()): Frame[] {
  const frames: Frame[] = []
  let start = 0
  for (const end of [...cuts, bytes.length]) {
    for (const frame of decoder.push(bytes.subarray(start, end))) frames.push(structuredClone(frame))
    start = end
  }
  return frames
}

const id = fc.stringMatching(/^[a-z0-9-]{3,40}$/)
const diskIndex = fc.integer({ min: 0, max: 59 })
const firstBlock = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 20 }),
  fc.integer({ min: 2 ** 32 - 2, max: maxBlocksPerDisk - 1 }),
)
const count = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most })
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const amount = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const root = fc.stringMatching(/^[0-9a-f]{64}$/)
const state = fc.constantFrom('INITIAL_SYNC' as const, 'CONTINUOUS' as const, 'RESCAN' as const)

const messageArbitraries: { [T in MessageType]: fc.Arbitrary<Extract<Message, { type: T }>> } = {
  HELLO: fc.record({
    type: fc.constant('HELLO' as const),
    body: fc.record({
      protocolVersion: fc.integer({ min: 0, max: 100 }),
      sourceServerId: id,
      replicationServerId: id,
      generation: fc.integer({ min: 1, max: 2 ** 40 }),
      connectionIndex: fc.integer({ min: 0, max: 4 }),
      agentVersion: fc.string({ maxLength: 64 }),
      blockSizeBytes: fc.constant(blockSizeBytes),
      disks: fc.array(fc.record({ diskIndex, volumeId: id, sizeBytes: fc.integer({ min: 512 }) }), {
        minLength: 1,
        maxLength: 60,
      }),
    }),
  }),
  WELCOME: fc.record({
    type: fc.constant('WELCOME' as const),
    body: fc.record({
      protocolVersion: fc.constant(1),
      windowBytes: count(2 ** 30),
      disks: fc.array(
        fc.record({ diskIndex, contents: fc.constantFrom('EMPTY' as const, 'PARTIAL' as const) }),
        { maxLength: 60 },
      ),
    }),
  }),
  BLOCKS: fc
    .tuple(diskIndex, firstBlock, count(3), count(blockSizeBytes), fc.boolean())
    .chain(([disk, first, blocks, last, isRaw]) => {
      const rawBytes = (blocks - 1) * blockSizeBytes + last
      return fc.record({
        type: fc.constant('BLOCKS' as const),
        diskIndex: fc.constant(disk),
        firstBlock: fc.constant(first),
        blockCount: fc.constant(blocks),
        rawBytes: fc.constant(rawBytes),
        encoding: fc.constant(isRaw ? encodings.RAW : encodings.ZSTD),
        hashes: bytes(blocks * 32),
        payload: isRaw
          ? fc.integer({ min: 0, max: 255 }).map((fill) => new Uint8Array(rawBytes).fill(fill))
          : bytes(777),
      })
    }),
  ZEROS: fc.record({
    type: fc.constant('ZEROS' as const),
    diskIndex,
    firstBlock,
    blockCount: count(2 ** 32 - 1),
  }),
  ACK: fc.record({
    type: fc.constant('ACK' as const),
    upToSequence: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
  HASHES: fc.tuple(diskIndex, firstBlock, count(300)).chain(([disk, first, blocks]) =>
    fc.record({
      type: fc.constant('HASHES' as const),
      diskIndex: fc.constant(disk),
      firstBlock: fc.constant(first),
      blockCount: fc.constant(blocks),
      hashes: bytes(blocks * 32),
    }),
  ),
  DIFFERENCES: fc.tuple(diskIndex, firstBlock, count(maxHashesPerFrame)).chain(([disk, first, blocks]) =>
    fc.record({
      type: fc.constant('DIFFERENCES' as const),
      diskIndex: fc.constant(disk),
      firstBlock: fc.constant(first),
      blockCount: fc.constant(blocks),
      bitmap: bytes(Math.ceil(blocks / 8)),
    }),
  ),
  BARRIER: fc.record({
    type: fc.constant('BARRIER' as const),
    body: fc.record({
      consistencyPointId: id,
      hold: fc.boolean(),
      method: fc.constantFrom('FROZEN' as const, 'QUIET' as const),
      frozenMs: amount,
    }),
  }),
  BARRIER_REACHED: fc.record({
    type: fc.constant('BARRIER_REACHED' as const),
    body: fc.record({
      consistencyPointId: id,
      roots: fc.array(fc.record({ diskIndex, root }), { maxLength: 60 }),
    }),
  }),
  STATUS: fc.record({
    type: fc.constant('STATUS' as const),
    body: fc.record({
      state,
      backlogBytes: amount,
      lagMs: fc.option(amount),
      disks: fc.array(
        fc.record({ diskIndex, scannedBytes: amount, backlogBytes: amount, rescans: count(9) }),
        {
          maxLength: 60,
        },
      ),
    }),
  }),
  PING: fc.constant({ type: 'PING' }),
  PONG: fc.constant({ type: 'PONG' }),
  ERROR: fc.record({
    type: fc.constant('ERROR' as const),
    body: fc.record(
      {
        code: fc.constantFrom(...wireErrorCodes),
        message: fc.string({ maxLength: 300 }),
        retryable: fc.boolean(),
        diskIndex,
        expected: fc.string({ maxLength: 200 }),
        actual: fc.string({ maxLength: 200 }),
      },
      { requiredKeys: ['code', 'message', 'retryable'] },
    ),
  }),
  GOODBYE: fc.constant({ type: 'GOODBYE' }),
}
const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  ...(Object.values(messageArbitraries) as fc.Arbitrary<Message>[]),
)

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
  it('BLOCKS, ZEROS and ACK round-trip', () =>
    ['BLOCKS', 'ZEROS', 'ACK'].forEach((type) => roundTrips(type as MessageType)))
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
  it.each([
    ['type 0', { type: 0 }],
    ['type 15', { type: 15 }],
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
  it.each([
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
