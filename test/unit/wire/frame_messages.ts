/**
 * Messages of every kind for tests of frames, and the little that encodes and decodes them.
 * @module
 */
import * as fc from 'fast-check'
import { blockSizeBytes, pieceSizeBytes } from '../../../domain/units.ts'
import { FrameDecoder, FrameEncoder, maxHashesPerFrame } from '../../../wire/frame.ts'
import type { Frame } from '../../../wire/frame.ts'
import { maxBlocksPerDisk, maxBlocksPerVerify, maxPiecesPerDisk } from '../../../wire/limits.ts'
import { encodings, wireErrorCodes } from '../../../wire/message.ts'
import type { Message, MessageType } from '../../../wire/message.ts'

/** Every message, plain: bytes as arrays that compare by value. */
export function plain(message: Message): unknown {
  return Object.fromEntries(
    Object.entries(message).map(([key, value]) => [
      key,
      value instanceof Uint8Array ? [...value] : (value as unknown),
    ]),
  )
}

/** All messages as one stream. */
export function encodeAll(messages: readonly Message[], startSequence?: number): Buffer {
  const encoder = new FrameEncoder(startSequence)
  return Buffer.concat(
    messages.flatMap((message) => {
      const { head, payload } = encoder.encode(message)
      return [head, Buffer.from(payload)]
    }),
  )
}

/**
 * Feeds `bytes` cut at `cuts`; frames are copied out because their payload may be overwritten by the next. Chunks of odd length are offered to
 * `absorb` first, as a connection does with all.
 */
export function decodeAll(
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  decoder = new FrameDecoder(),
): Frame[] {
  const frames: Frame[] = []
  let start = 0
  for (const end of [...cuts, bytes.length]) {
    const chunk = bytes.subarray(start, end)
    start = end
    if (chunk.length % 2 === 1 && decoder.absorb(chunk)) continue
    for (const frame of decoder.push(chunk)) frames.push(structuredClone(frame))
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

/** Random messages, by type. */
export const messageArbitraries: { [T in MessageType]: fc.Arbitrary<Extract<Message, { type: T }>> } = {
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
      protocolVersion: fc.constant(2),
      windowBytes: count(2 ** 30),
      disks: fc.array(
        fc.record({
          diskIndex,
          contents: fc.constantFrom('EMPTY' as const, 'PARTIAL' as const),
          copyId: id,
        }),
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
  PIECES: fc
    .tuple(
      diskIndex,
      fc.uniqueArray(
        fc.oneof(
          fc.integer({ min: 0, max: 600 }),
          fc.integer({ min: 2 ** 32 - 3, max: maxPiecesPerDisk - 1 }),
        ),
        { minLength: 1, maxLength: 12 },
      ),
      count(pieceSizeBytes),
      fc.boolean(),
    )
    .chain(([disk, numbers, last, isRaw]) => {
      const pieces = numbers.toSorted((a, b) => a - b)
      const rawBytes = (pieces.length - 1) * pieceSizeBytes + last
      return fc.record({
        type: fc.constant('PIECES' as const),
        diskIndex: fc.constant(disk),
        pieces: fc.constant(pieces),
        rawBytes: fc.constant(rawBytes),
        encoding: fc.constant(isRaw ? encodings.RAW : encodings.ZSTD),
        hash: bytes(32),
        payload: isRaw
          ? fc.integer({ min: 0, max: 255 }).map((fill) => new Uint8Array(rawBytes).fill(fill))
          : bytes(77),
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
  VERIFY: fc.tuple(diskIndex, firstBlock, count(maxBlocksPerVerify)).chain(([disk, first, blocks]) =>
    fc.record({
      type: fc.constant('VERIFY' as const),
      diskIndex: fc.constant(disk),
      firstBlock: fc.constant(first),
      blockCount: fc.constant(blocks),
      hashes: bytes(blocks * 32),
    }),
  ),
  VERIFIED: fc.tuple(diskIndex, firstBlock, count(maxBlocksPerVerify)).chain(([disk, first, blocks]) =>
    fc.record({
      type: fc.constant('VERIFIED' as const),
      diskIndex: fc.constant(disk),
      firstBlock: fc.constant(first),
      blockCount: fc.constant(blocks),
      root: bytes(32),
      differing: bytes(Math.ceil(blocks / 8)),
      damaged: bytes(Math.ceil(blocks / 8)),
    }),
  ),
  DAMAGED: fc.record({
    type: fc.constant('DAMAGED' as const),
    diskIndex,
    firstBlock,
    blockCount: count(2 ** 32 - 1),
  }),
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
  PREPARE: fc.constant({ type: 'PREPARE' }),
  TO_READ: fc.record({
    type: fc.constant('TO_READ' as const),
    body: fc.record(
      { consistencyPointId: id, unknownBytes: amount, bytesPerSecond: count(2 ** 40) },
      { requiredKeys: ['unknownBytes', 'bytesPerSecond'] },
    ),
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
/** Random messages of any type. */
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  ...(Object.values(messageArbitraries) as fc.Arbitrary<Message>[]),
)
