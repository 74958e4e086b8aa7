import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { windowBytes } from '../../../replicator/session_output.ts'
import { encodings } from '../../../wire/message.ts'
import { until } from '../../fixtures/waiting.ts'
import { blocksOf, extentsOf, helloOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

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
describe('a served server', () => {
  it('ends a connection that sends nonsense, and only that one', async () => {
    await ready(sizeBytes)
    const good = await replicator.connect()
    await good.hello(helloOf(sizeBytes))
    const cases: [code: string, send: (agent: TestAgent) => void][] = [
      ['BAD_FRAME', (agent) => agent.socket.write(Buffer.alloc(16, 0xee))],
      ['BAD_FRAME', (agent) => agent.send({ type: 'ACK', upToSequence: 1 })],
      ['BAD_FRAME', (agent) => agent.send({ type: 'HELLO', body: helloOf(sizeBytes) })],
      ['BAD_FRAME', (agent) => agent.send({ ...blocksOf(0, image(), 0, 1), encoding: encodings.ZSTD })],
      ['OUT_OF_RANGE', (agent) => agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 41, blockCount: 1 })],
      [
        'OUT_OF_RANGE',
        (agent) => agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 1, blockCount: 0xffff_ffff }),
      ],
      ['OUT_OF_RANGE', (agent) => agent.send(blocksOf(0, image(41 * blockSizeBytes), 40, 1))],
      [
        'UNKNOWN_VOLUME',
        (agent) => agent.send({ type: 'ZEROS', diskIndex: 1, firstBlock: 0, blockCount: 1 }),
      ],
      [
        'UNKNOWN_VOLUME',
        (agent) =>
          agent.send({
            type: 'HASHES',
            diskIndex: 1,
            firstBlock: 0,
            blockCount: 1,
            hashes: new Uint8Array(32),
          }),
      ],
      [
        'OUT_OF_RANGE',
        (agent) =>
          agent.send({
            type: 'HASHES',
            diskIndex: 0,
            firstBlock: 41,
            blockCount: 1,
            hashes: new Uint8Array(32),
          }),
      ],
    ]
    for (const [code, send] of cases) {
      const agent = await replicator.connect()
      await agent.hello(helloOf(sizeBytes, { connectionIndex: 1 }))
      send(agent)
      expect(await agent.closed()).toMatchObject({ code })
    }
    await good.ack(good.sendBlocks(0, image(), 0, 16))
    expect(good.isClosed).toBe(false)
    good.destroy()
  })

  it('fences an older run of the agent and replaces a connection that was opened anew', async () => {
    await ready(sizeBytes)
    const old = await replicator.connect()
    await old.hello(helloOf(sizeBytes, { generation: 3 }))
    const twin = await replicator.connect()
    await twin.hello(helloOf(sizeBytes, { generation: 3 }))
    expect(await old.closed()).toMatchObject({ code: 'STALE_GENERATION', retryable: true })
    const newer = await replicator.connect()
    await newer.hello(helloOf(sizeBytes, { generation: 5, connectionIndex: 1 }))
    expect(await twin.closed()).toMatchObject({
      code: 'STALE_GENERATION',
      retryable: false,
      expected: '5',
      actual: '3',
    })
    const late = await replicator.connect()
    late.send({ type: 'HELLO', body: helloOf(sizeBytes, { generation: 4 }) })
    expect(await late.closed()).toMatchObject({
      code: 'STALE_GENERATION',
      expected: 'at least 5',
      actual: '4',
    })
    await newer.ack(newer.sendBlocks(0, image(), 0, 2))
    // Fencing survives the process.
    await replicator.close()
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    const stale = await replicator.connect()
    stale.send({ type: 'HELLO', body: helloOf(sizeBytes, { generation: 4 }) })
    expect(await stale.closed()).toMatchObject({ code: 'STALE_GENERATION' })
  })

  it('goes on with a disk that has grown, and not with one that has shrunk', async () => {
    const larger = sizeBytes + 5 * blockSizeBytes
    makeSparseFile(replicator.volumePath(0), larger)
    await replicator.assign(replicator.assignment([larger]))
    const source = image(larger)
    const small = source.subarray(0, sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    for (const { firstBlock, blockCount } of extentsOf(small, 16))
      agent.sendBlocks(0, small, firstBlock, blockCount)
    expect(await rootAt(agent)).toBe(rootOf(small))
    const grown = await replicator.connect()
    await grown.hello(helloOf(larger, { generation: 2 }))
    const expected = Buffer.alloc(larger)
    small.copy(expected)
    expect(await rootAt(grown)).toBe(rootOf(expected))
    grown.sendBlocks(0, source, 40, 6)
    expect(await rootAt(grown)).toBe(rootOf(source))
    const shrunk = await replicator.connect()
    shrunk.send({ type: 'HELLO', body: helloOf(sizeBytes, { generation: 3 }) })
    expect(await shrunk.closed()).toMatchObject({ code: 'OUT_OF_RANGE', expected: `at least ${larger}` })
  })

  it('bounds what is not acknowledged, and acknowledges nothing before it is durable', async () => {
    const stuck = Promise.withResolvers<void>()
    let isStuck = false
    replicator.wrap = (disk) =>
      withCalls(disk, {
        flush: async () => {
          if (isStuck) await stuck.promise
          await disk.flush()
        },
      })
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    isStuck = true
    const source = image()
    const frames = windowBytes / (16 * blockSizeBytes)
    for (let sent = 0; sent < frames; sent++) agent.sendBlocks(0, source, 0, 16)
    agent.send({ type: 'PING' })
    await agent.next('PONG')
    expect(agent.acked).toBeUndefined()
    agent.sendBlocks(0, source, 0, 1)
    expect(await agent.closed()).toMatchObject({
      code: 'WINDOW_EXCEEDED',
      expected: `at most ${windowBytes}`,
    })
    expect(agent.acked).toBeUndefined()
    stuck.resolve()
  })

  it('forgets a server that is no longer assigned, and a volume that is no longer its own', async () => {
    await ready(sizeBytes, sizeBytes)
    const agent = await replicator.connect()
    const disks = [0, 1].map((diskIndex) => ({ diskIndex, volumeId: `vol-${diskIndex}`, sizeBytes }))
    await agent.hello(helloOf(sizeBytes, { disks }))
    await agent.ack(agent.sendBlocks(0, image(), 0, 1))
    const state = join(replicator.folder, 'state')
    expect(readdirSync(join(state, 'volumes')).sort()).toEqual(['vol-0', 'vol-1'])
    expect(readdirSync(join(state, 'servers'))).toEqual(['s-1.json'])
    expect(replicator.registry.servers.map((server) => server.report())).toEqual([
      { sourceServerId: 's-1', generation: 1, isConnected: true, openVolumeIds: ['vol-0', 'vol-1'] },
    ])
    await replicator.assign(replicator.assignment([sizeBytes]))
    expect(await agent.closed()).toMatchObject({ code: 'NOT_ASSIGNED', retryable: true })
    expect(readdirSync(join(state, 'volumes'))).toEqual(['vol-0'])
    await replicator.assign()
    expect(readdirSync(join(state, 'volumes'))).toEqual([])
    expect(readdirSync(join(state, 'servers'))).toEqual([])
    const late = await replicator.connect()
    expect(await late.closed()).toMatchObject({ code: 'NOT_ASSIGNED', retryable: true })
    expect(replicator.nudges).toBe(1)
  })

  it('ends a connection whose certificate the gateway has replaced', async () => {
    await ready(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await replicator.assign(replicator.assignment([sizeBytes], { certificateSerials: ['AB'] }))
    expect(await agent.closed()).toMatchObject({ code: 'NOT_ASSIGNED', retryable: true })
  })

  it('tells of a volume that is not there, and serves it once it is', async () => {
    await replicator.assign(replicator.assignment([sizeBytes]))
    const agent = await replicator.connect()
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    const error = await agent.closed()
    expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true, diskIndex: 0 })
    expect(error?.message).toContain('vol-0')
    expect(replicator.registry.servers[0]?.report().error).toContain('ENOENT')
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    expect(replicator.registry.servers[0]?.report().error).toBeUndefined()
    again.destroy()
    await until('the session has left', () =>
      Promise.resolve(replicator.registry.servers[0]?.isConnected === false),
    )
    rmSync(replicator.volumePath(0))
  })
})
