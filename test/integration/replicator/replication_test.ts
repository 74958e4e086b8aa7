import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockCountOf, blockSizeBytes } from '../../../domain/units.ts'
import { windowBytes } from '../../../replicator/session_output.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import type { Welcome } from '../../../wire/message.ts'
import { protocolVersion } from '../../../wire/version.ts'
import { randomInt, seededRandom, seedFor, shuffled } from '../../fixtures/seed.ts'
import { blocksOf, extentsOf, helloOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const seed = seedFor('replication')
const sizeBytes = 40 * blockSizeBytes + 512

let replicator: TestReplicator
beforeEach(async () => {
  replicator = await TestReplicator.start()
})
afterEach(async () => {
  await replicator.end()
})

/** A random image with a stretch of zeros. */
function image(size = sizeBytes): Buffer {
  const bytes = randomBytes(size)
  bytes.fill(0, 4 * blockSizeBytes, 12 * blockSizeBytes)
  return bytes
}

async function ready(...sizes: number[]): Promise<void> {
  for (const [index, size] of sizes.entries()) makeSparseFile(replicator.volumePath(index), size)
  await replicator.assign(replicator.assignment(sizes))
}

const quiet = (consistencyPointId: string) =>
  ({ type: 'BARRIER', body: { consistencyPointId, hold: false, method: 'QUIET', frozenMs: 0 } }) as const

async function rootAt(agent: TestAgent): Promise<string | undefined> {
  agent.send(quiet('cp-root'))
  return (await agent.next('BARRIER_REACHED')).body.roots[0]?.root
}
describe('replication over TLS', () => {
  it('copies a random image sent in any order over several connections, through a kill in the middle', async () => {
    const random = seededRandom(seed)
    const source = image()
    await ready(sizeBytes)
    const extents = shuffled(random, extentsOf(source, randomInt(random, 1, 5)))
    const half = Math.floor(extents.length / 2)
    const first = await replicator.connect()
    expect(await first.hello(helloOf(sizeBytes))).toEqual({
      protocolVersion,
      windowBytes,
      disks: [{ diskIndex: 0, contents: 'EMPTY', copyId: expect.any(String) as string }],
    })
    const acked: typeof extents = []
    const sequences = extents.slice(0, half).map((extent) => ({
      extent,
      sequence: first.sendBlocks(0, source, extent.firstBlock, extent.blockCount),
    }))
    await first.ack(sequences[Math.floor(half / 2)]?.sequence ?? 1)
    await replicator.kill()
    await first.closed()
    for (const { extent, sequence } of sequences) if (sequence <= (first.acked ?? 0)) acked.push(extent)
    // The registry of the killed one is left as it is; a new one goes on from the files.
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    const onDisk = readFileSync(replicator.volumePath(0))
    for (const { firstBlock, blockCount } of acked) {
      const sent = blocksOf(0, source, firstBlock, blockCount).payload
      const offset = firstBlock * blockSizeBytes
      expect(onDisk.subarray(offset, offset + sent.length).equals(sent)).toBe(true)
    }
    const agents = await Promise.all([0, 1, 2].map(() => replicator.connect()))
    const welcomes: Welcome[] = []
    for (const [connectionIndex, agent] of agents.entries())
      welcomes.push(await agent.hello(helloOf(sizeBytes, { connectionIndex })))
    expect(welcomes.map((welcome) => welcome.disks[0]?.contents)).toEqual(['PARTIAL', 'PARTIAL', 'PARTIAL'])
    const last = new Map<TestAgent, number>()
    for (const extent of extents) {
      if (acked.includes(extent)) continue
      const agent = agents[randomInt(random, 0, 2)] as TestAgent
      last.set(agent, agent.sendBlocks(0, source, extent.firstBlock, extent.blockCount))
    }
    for (const [agent, sequence] of last) await agent.ack(sequence)
    expect(await rootAt(agents[0] as TestAgent)).toBe(rootOf(source))
    expect(readFileSync(replicator.volumePath(0)).equals(source)).toBe(true)
    for (const agent of agents) {
      agent.send({ type: 'GOODBYE' })
      expect(await agent.closed()).toBeUndefined()
    }
  })

  it('answers HASHES from the index, without reading the data', async () => {
    const source = image()
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    const blockCount = blockCountOf(sizeBytes)
    await agent.ack(
      Math.max(
        ...extentsOf(source, 16).map((extent) =>
          agent.sendBlocks(0, source, extent.firstBlock, extent.blockCount),
        ),
      ),
    )
    // Changed behind the replicator's back: the index must answer, not the file.
    const file = openSync(replicator.volumePath(0), 'r+')
    writeSync(file, Buffer.from('x'), 0, 1, 3 * blockSizeBytes)
    closeSync(file)
    const hashes = blockHashes(source)
    agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount, hashes })
    expect([...(await agent.next('DIFFERENCES')).bitmap]).toEqual([0, 0, 0, 0, 0, 0])
    hashes[9 * 32] = 1
    hashes[40 * 32] = (hashes[40 * 32] ?? 0) ^ 1
    agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 2, blockCount: 39, hashes: hashes.subarray(64) })
    const { bitmap, ...rest } = await agent.next('DIFFERENCES')
    expect(rest).toEqual({ type: 'DIFFERENCES', diskIndex: 0, firstBlock: 2, blockCount: 39 })
    expect([...bitmap]).toEqual([1 << 7, 0, 0, 0, 1 << 6])
    agent.destroy()
  })

  it('reads what it does not know: after a kill, and on a volume that was not empty', async () => {
    const source = image()
    await ready(sizeBytes)
    const file = openSync(replicator.volumePath(0), 'r+')
    writeSync(file, source)
    closeSync(file)
    const agent = await replicator.connect()
    expect((await agent.hello(helloOf(sizeBytes))).disks[0]?.contents).toBe('PARTIAL')
    expect(await rootAt(agent)).toBe(rootOf(source))
    source.fill(7, 0, blockSizeBytes)
    await agent.ack(agent.sendBlocks(0, source, 0, 1))
    await replicator.kill()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    again.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount: 41, hashes: blockHashes(source) })
    expect([...(await again.next('DIFFERENCES')).bitmap]).toEqual([0, 0, 0, 0, 0, 0])
    again.destroy()
  })

  it('leaves zeros out of a sparse volume and writes them where there was something', async () => {
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await agent.ack(agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 0, blockCount: 41 }))
    expect(statSync(replicator.volumePath(0)).blocks).toBe(0)
    const source = image()
    agent.sendBlocks(0, source, 0, 16)
    agent.sendBlocks(0, source, 39, 2)
    await agent.ack(agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 2, blockCount: 39 }))
    const expected = Buffer.alloc(sizeBytes)
    source.copy(expected, 0, 0, 2 * blockSizeBytes)
    expect(readFileSync(replicator.volumePath(0)).equals(expected)).toBe(true)
    expect(await rootAt(agent)).toBe(rootOf(expected))
    agent.destroy()
  })

  it('keeps the order of writes to the same blocks, whatever their encoding takes', async () => {
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    const versions = Array.from({ length: 30 }, (_, index) => Buffer.alloc(sizeBytes, index + 1))
    let last = 0
    for (const [index, version] of versions.entries()) {
      const message = blocksOf(0, version, 4, 8)
      const payload = index % 2 === 0 ? zstdCompressSync(message.payload) : message.payload
      last = agent.send({ ...message, payload, encoding: index % 2 === 0 ? encodings.ZSTD : encodings.RAW })
    }
    await agent.ack(last)
    const bytes = Buffer.alloc(8 * blockSizeBytes)
    const file = openSync(replicator.volumePath(0), 'r')
    readSync(file, bytes, 0, bytes.length, 4 * blockSizeBytes)
    closeSync(file)
    expect(bytes.every((byte) => byte === versions.length)).toBe(true)
    const expected = Buffer.alloc(sizeBytes)
    expected.fill(versions.length, 4 * blockSizeBytes, 12 * blockSizeBytes)
    expect(await rootAt(agent)).toBe(rootOf(expected))
    agent.destroy()
  })

  it('takes several disks and answers PING', async () => {
    const sizes = [sizeBytes, 3 * blockSizeBytes + 1024]
    const sources = sizes.map((size) => randomBytes(size))
    await ready(...sizes)
    const agent = await replicator.connect()
    const disks = sizes.map((size, diskIndex) => ({
      diskIndex,
      volumeId: `vol-${diskIndex}`,
      sizeBytes: size,
    }))
    await agent.hello(helloOf(0, { disks }))
    agent.send({ type: 'PING' })
    await agent.next('PONG')
    let last = 0
    for (const [diskIndex, source] of sources.entries()) {
      for (const { firstBlock, blockCount } of extentsOf(source, 16)) {
        last = agent.sendBlocks(diskIndex, source, firstBlock, blockCount)
      }
    }
    await agent.ack(last)
    agent.send(quiet('cp-1'))
    expect((await agent.next('BARRIER_REACHED')).body).toEqual({
      consistencyPointId: 'cp-1',
      roots: sources.map((source, diskIndex) => ({ diskIndex, root: rootOf(source) })),
    })
    expect(sources.map((source, index) => readFileSync(replicator.volumePath(index)).equals(source))).toEqual(
      [true, true],
    )
    agent.destroy()
  })

  it('never writes a block whose bytes are not those that were hashed', async () => {
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    const message = blocksOf(0, image(), 0, 4)
    const payload = Buffer.from(message.payload)
    payload[2 * blockSizeBytes + 5] = (payload[2 * blockSizeBytes + 5] ?? 0) ^ 1
    agent.send({ ...message, payload })
    expect(await agent.closed()).toMatchObject({ code: 'HASH_MISMATCH', retryable: true, diskIndex: 0 })
    expect(readFileSync(replicator.volumePath(0)).every((byte) => byte === 0)).toBe(true)
  })
})
