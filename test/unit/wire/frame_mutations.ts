/**
 * Frames that are almost right: a corpus of every message type, and changes to it that know where header, meta and payload lie.
 * @module
 */
import * as fc from 'fast-check'
import { frameHeaderBytes, maxMetaBytes, maxPayloadBytes } from '../../../wire/frame.ts'
import { frameLimits } from '../../../wire/limits.ts'
import { messageTypes } from '../../../wire/message.ts'
import type { Message, MessageType } from '../../../wire/message.ts'
import { randomInt } from '../../fixtures/seed.ts'
import { encodeAll, messageArbitraries } from './frame_messages.ts'

/** Larger frames cost time to copy and find nothing more. */
const maxCorpusFrameBytes = 4096

const typeNames = Object.keys(messageTypes) as MessageType[]

/** Good frames of every type, each as if it were the first of its connection. */
export function makeCorpus(seed: number): Buffer[] {
  return typeNames.flatMap((type) =>
    fc
      .sample(messageArbitraries[type] as fc.Arbitrary<Message>, { seed, numRuns: 60 })
      .map((message) => encodeAll([message]))
      .filter(({ length }) => length <= maxCorpusFrameBytes)
      .slice(0, 20),
  )
}

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[randomInt(random, 0, items.length - 1)]
  if (item === undefined) throw new Error('Nothing to pick from')
  return item
}

/** Numbers at which something changes. */
const edges = [0, 1, 2, 47, 48, 0xff, 0xffff, maxMetaBytes, maxPayloadBytes, 0x7fff_ffff, 0xffff_ffff]

type Mutation = (frame: Buffer, random: () => number) => Buffer

const flipBytes: Mutation = (frame, random) => {
  for (let count = randomInt(random, 1, 4); count > 0; count--)
    frame[randomInt(random, 0, frame.length - 1)] = randomInt(random, 0, 255)
  return frame
}

/** A length, the disk or the sequence number is set to an edge, or is off by one. */
const setHeaderField: Mutation = (frame, random) => {
  const at = pick(random, [4, 8, 12])
  if (random() < 0.2) frame.writeUInt16LE(pick(random, [0, 59, 60, 0xfffe, 0xffff]), 2)
  const value = random() < 0.5 ? pick(random, edges) : frame.readUInt32LE(at) + pick(random, [-1, 1])
  frame.writeUInt32LE(value >>> 0, at)
  return frame
}

/** Another type whose limits the frame may still meet. */
const swapType: Mutation = (frame, random) => {
  const type = pick(random, typeNames)
  frame.writeUInt8(random() < 0.1 ? randomInt(random, 0, 255) : messageTypes[type], 0)
  frame.writeUInt16LE(frameLimits[type].hasDisk ? randomInt(random, 0, 59) : 0xffff, 2)
  return frame
}

/** A number within the meta is set to an edge. */
const setMetaNumber: Mutation = (frame, random) => {
  const metaEnd = frameHeaderBytes + frame.readUInt32LE(4)
  if (metaEnd < frameHeaderBytes + 4) return frame
  const at = frameHeaderBytes + 4 * randomInt(random, 0, Math.floor((metaEnd - frameHeaderBytes) / 4) - 1)
  frame.writeUInt32LE(pick(random, edges), at)
  return frame
}

/** A piece of a JSON meta is replaced by something that means more in JSON or in JavaScript. */
const spoilText: Mutation = (frame, random) => {
  const metaLength = frame.readUInt32LE(4)
  if (metaLength < 8) return frame
  const piece = pick(random, [
    '"',
    '{',
    '}',
    '[[[[',
    ',',
    'null',
    '1e999',
    '-1',
    '\\u0000',
    '__proto__',
    '\xff\xfe',
  ])
  frame.write(piece, frameHeaderBytes + randomInt(random, 0, metaLength - piece.length), 'latin1')
  return frame
}

const truncate: Mutation = (frame, random) => frame.subarray(0, randomInt(random, 0, frame.length - 1))

const insertBytes: Mutation = (frame, random) => {
  const at = randomInt(random, 0, frame.length)
  return Buffer.concat([frame.subarray(0, at), Buffer.alloc(randomInt(random, 1, 5)), frame.subarray(at)])
}

const noise: Mutation = (frame, random) => {
  for (let at = 0; at < frame.length; at++) frame[at] = randomInt(random, 0, 255)
  return frame.subarray(0, randomInt(random, 1, Math.min(64, frame.length)))
}

const mutations = [
  flipBytes,
  setHeaderField,
  swapType,
  setMetaNumber,
  spoilText,
  truncate,
  insertBytes,
  noise,
]

/** A stream of frames, of which at most one is not as it should be. */
export interface HostileStream {
  /** Where it may be cut into chunks. */
  chunks: Buffer[]
  frames: number
  /** Frames before the one that was changed. */
  good: number
}

/** Good frames, numbered from `firstSequence`, then one that was changed, then more. */
export function hostileStream(
  corpus: readonly Buffer[],
  random: () => number,
  firstSequence = 1,
): HostileStream {
  const frames = randomInt(random, 1, 6)
  const isChanged = random() < 0.85
  const good = isChanged ? randomInt(random, 0, frames - 1) : frames
  const parts: Buffer[] = []
  for (let index = 0; index < frames; index++) {
    const frame = Buffer.from(pick(random, corpus))
    frame.writeUInt32LE(firstSequence + index, 12)
    parts.push(index === good ? pick(random, mutations)(frame, random) : frame)
  }
  const whole = Buffer.concat(parts)
  const chunks: Buffer[] = []
  for (let at = 0; at < whole.length;) {
    const length = random() < 0.6 ? whole.length - at : randomInt(random, 1, Math.min(40, whole.length - at))
    chunks.push(whole.subarray(at, at + length))
    at += length
  }
  return { chunks, frames, good }
}
