import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockCountOf, blockSizeBytes, pieceSizeBytes } from '../../../domain/units.ts'
import { windowBytes } from '../../../replicator/session_output.ts'
import { FrameEncoder } from '../../../wire/frame.ts'
import { encodings } from '../../../wire/message.ts'
import type { Message } from '../../../wire/message.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { blocksOf, helloOf, piecesOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const seed = seedFor('pieces')
const sizeBytes = 70 * blockSizeBytes + 5 * pieceSizeBytes + 512
const pieceCount = Math.ceil(sizeBytes / pieceSizeBytes)

let replicator: TestReplicator
let image: Buffer
let agent: TestAgent
/** Bytes of the data that were read, and what flushes wait for. */
let readBytes = 0
let stuck: PromiseWithResolvers<void> | undefined

beforeEach(async () => {
  stuck = undefined
  replicator = await TestReplicator.start()
  replicator.wrap = (disk) =>
    withCalls(disk, {
      read: (into, offset) => {
        readBytes += into.length
        return disk.read(into, offset)
      },
      flush: async () => {
        await stuck?.promise
        await disk.flush()
      },
    })
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  image = randomBytes(sizeBytes)
  agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  await agent.ack(agent.sendImage(0, image))
})
afterEach(async () => {
  stuck?.resolve()
  await replicator.end()
})

const onDisk = () => readFileSync(replicator.volumePath(0)).subarray(0, sizeBytes)

async function root(from: TestAgent, consistencyPointId: string): Promise<string | undefined> {
  from.send({ type: 'BARRIER', body: { consistencyPointId, hold: false, method: 'QUIET', frozenMs: 0 } })
  return (await from.next('BARRIER_REACHED')).body.roots[0]?.root
}

/** Changes ascending pieces of the image. */
function change(random: () => number, most: number): number[] {
  const chosen = Array.from({ length: randomInt(random, 1, most) }, () =>
    randomInt(random, 0, pieceCount - 1),
  )
  const pieces = [...new Set(chosen)].sort((a, b) => a - b)
  for (const piece of pieces)
    image.subarray(piece * pieceSizeBytes, (piece + 1) * pieceSizeBytes).fill(randomInt(random, 0, 255))
  return pieces
}

describe('pieces of blocks', () => {
  it('take effect in the order of their connection, between blocks and zeros, and the root is that of the source', async () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 3; round++) {
      let last = 0
      for (let step = 0; step < 60; step++) {
        const chance = random()
        const first = randomInt(random, 0, blockCountOf(sizeBytes) - 1)
        if (chance < 0.1) {
          image.subarray(first * blockSizeBytes, (first + 1) * blockSizeBytes).fill(0)
          last = agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: first, blockCount: 1 })
        } else if (chance < 0.25) {
          image.subarray(first * blockSizeBytes, (first + 1) * blockSizeBytes).fill(randomInt(random, 0, 255))
          last = agent.send(blocksOf(0, Buffer.from(image), first, 1))
        } else {
          const message = piecesOf(0, image, change(random, 60))
          const isPacked = random() < 0.5
          const packed = { encoding: encodings.ZSTD, payload: zstdCompressSync(message.payload) }
          last = agent.send({ ...message, ...(isPacked ? packed : {}) })
        }
      }
      await agent.ack(last)
      expect(onDisk().equals(image)).toBe(true)
      expect(await root(agent, `cp-${round}`)).toBe(rootOf(image))
    }
  })

  it('leave a volume whose root is right after an end without warning', async () => {
    const random = seededRandom(seed)
    await agent.ack(agent.send(piecesOf(0, image, change(random, 100))))
    await replicator.kill()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    const next = await replicator.connect()
    await next.hello(helloOf(sizeBytes))
    expect(onDisk().equals(image)).toBe(true)
    expect(await root(next, 'cp-1')).toBe(rootOf(image))
  })

  it('are believed to the byte and the place: what is wrong changes nothing', async () => {
    const before = onDisk()
    const good = piecesOf(0, randomBytes(sizeBytes), [3, 40])
    const cases: [code: string, message: Message][] = [
      ['HASH_MISMATCH', { ...good, pieces: [3, 41] }],
      ['HASH_MISMATCH', { ...good, payload: randomBytes(8192) }],
      ['HASH_MISMATCH', { ...good, hash: new Uint8Array(32) }],
      ['BAD_FRAME', { ...good, encoding: encodings.ZSTD }],
      ['BAD_FRAME', { ...good, encoding: encodings.ZSTD, payload: zstdCompressSync(Buffer.alloc(8191)) }],
      ['OUT_OF_RANGE', { ...good, pieces: [3, pieceCount] }],
      ['OUT_OF_RANGE', { ...good, pieces: [3, pieceCount - 1] }],
      ['OUT_OF_RANGE', { ...good, rawBytes: 8000, payload: good.payload.subarray(0, 8000) }],
      ['UNKNOWN_VOLUME', { ...good, diskIndex: 1 }],
    ]
    for (const [code, message] of cases) {
      const bad = await replicator.connect()
      await bad.hello(helloOf(sizeBytes))
      bad.send(message)
      expect((await bad.closed())?.code).toBe(code)
    }
    expect(onDisk().equals(before)).toBe(true)
  })

  it('are refused unsorted and double', async () => {
    const good = piecesOf(0, image, [3, 40])
    const { head, payload } = new FrameEncoder(2).encode(good)
    for (const [low, what] of [
      [41, 'unsorted'],
      [40, 'double'],
    ] as const) {
      const bad = await replicator.connect()
      await bad.hello(helloOf(sizeBytes))
      const own = Buffer.from(head)
      own.writeUInt32LE(low, 16 + 40)
      bad.socket.write(Buffer.concat([own, payload]))
      expect((await bad.closed())?.code, what).toBe('BAD_FRAME')
    }
  })

  it('count against the window', async () => {
    const message = piecesOf(
      0,
      image,
      Array.from({ length: 256 }, (_, index) => index),
    )
    stuck = Promise.withResolvers()
    const greedy = await replicator.connect()
    await greedy.hello(helloOf(sizeBytes))
    for (let sent = 0; sent <= windowBytes; sent += message.rawBytes) greedy.send(message)
    expect((await greedy.closed())?.code).toBe('WINDOW_EXCEEDED')
  })

  it('are hashed once nobody writes there, and at once when a point is asked for', async () => {
    const random = seededRandom(seed)
    await agent.ack(agent.send(piecesOf(0, image, change(random, 60))))
    readBytes = 0
    const [server] = replicator.registry.servers
    await server?.tidy(false)
    expect(readBytes, 'it was just written').toBe(0)
    for (let tick = 0; tick < 10; tick++) await server?.tidy(false)
    expect(readBytes).toBeGreaterThan(0)
    readBytes = 0
    expect(await root(agent, 'cp-1')).toBe(rootOf(image))
    expect(readBytes, 'the root is answered from the index').toBe(0)

    await agent.ack(agent.send(piecesOf(0, image, change(random, 60))))
    const consistencyPoint = { consistencyPointId: 'cp-2', state: 'REQUESTED' as const }
    await replicator.assign(replicator.assignment([sizeBytes], { consistencyPoint }))
    await until('the blocks are read', () => Promise.resolve(readBytes > 0))
    expect(await root(agent, 'cp-2')).toBe(rootOf(image))
  })
})
