import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const blockCount = 16
const sizeBytes = blockCount * blockSizeBytes

let replicator: TestReplicator
let source: Buffer
/** Flushes of data wait for it while it is there. */
let stuck: PromiseWithResolvers<void> | undefined
beforeEach(async () => {
  stuck = undefined
  replicator = await TestReplicator.start({ helloDeadlineMs: 5000 })
  replicator.wrap = (disk) =>
    withCalls(disk, {
      flush: async () => {
        await stuck?.promise
        await disk.flush()
      },
    })
  for (const diskIndex of [0, 1, 9]) makeSparseFile(replicator.volumePath(diskIndex), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  source = randomBytes(sizeBytes)
})
afterEach(async () => {
  stuck?.resolve()
  await replicator.end()
})

const point = (consistencyPointId: string, hold: boolean) =>
  ({ type: 'BARRIER', body: { consistencyPointId, hold, method: 'QUIET', frozenMs: 0 } }) as const
const diskOf = (diskIndex: number): Buffer => readFileSync(replicator.volumePath(diskIndex))
const report = () => replicator.registry.beginBeat().sessions[0]
/** Time for what should not happen to happen. */
const someTurns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))
const arrivedBytes = (): number => replicator.registry.servers[0]?.telemetry(0).wireBytes ?? 0

/** Sends something on a connection that was admitted; resolves when it was read there. */
async function arrived(send: () => void): Promise<void> {
  const before = arrivedBytes()
  send()
  await until('it has arrived', () => Promise.resolve(arrivedBytes() > before), 60_000, 10)
}

describe('connections that all send more than may be under way together', () => {
  it('come to their end, each of them', async () => {
    await replicator.end()
    // Less than one payload: nothing new begins beside what is being written.
    replicator = await TestReplicator.start({ maxUnderWayBytes: sizeBytes / 2 })
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    await replicator.assign(replicator.assignment([sizeBytes]))
    const first = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    const agents = [first]
    for (let connectionIndex = 1; connectionIndex < 5; connectionIndex++) {
      const agent = await replicator.connect()
      await agent.hello(helloOf(sizeBytes, { connectionIndex }))
      agents.push(agent)
    }
    const sent = agents.map((agent) => {
      let last = 0
      for (let count = 0; count < 8; count++) last = agent.sendBlocks(0, source, 0, blockCount)
      return agent.ack(last)
    })
    await Promise.all(sent)
    expect(diskOf(0)).toEqual(source)
  })
})

describe('a new session of a run', () => {
  it('ends what is left of the one before, so that nothing old lands on something newer', async () => {
    const first = await replicator.connect()
    const second = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    await second.hello(helloOf(sizeBytes, { connectionIndex: 1 }))
    first.send(point('cp-1', true))
    await first.next('BARRIER_REACHED')
    // It waits behind the gate.
    await arrived(() => second.sendBlocks(0, Buffer.alloc(sizeBytes, 1), 0, 1))
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    expect(await second.closed()).toMatchObject({ code: 'STALE_GENERATION', retryable: true })
    const sequence = again.sendBlocks(0, Buffer.alloc(sizeBytes, 2), 0, 1)
    await replicator.assign(replicator.assignment([sizeBytes]))
    await again.ack(sequence)
    expect(diskOf(0)[0]).toBe(2)
    again.destroy()
  })

  it('waits for the writes of the one before', async () => {
    const first = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    stuck = Promise.withResolvers()
    await arrived(() => first.sendBlocks(0, source, 0, blockCount))
    first.destroy()
    const again = await replicator.connect()
    const welcome = again.hello(helloOf(sizeBytes))
    await someTurns()
    expect(again.received).toEqual([])
    stuck.resolve()
    await welcome
    expect(diskOf(0).equals(source)).toBe(true)
    again.destroy()
  })
})

describe('an admission', () => {
  it('says why when the volumes do not get ready', async () => {
    const first = await replicator.connect()
    stuck = Promise.withResolvers()
    first.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    const error = await first.closed()
    expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
    expect(error?.message).toMatch(/Cannot admit source server s-1 within 5000 ms.*check the staging disks/)
    stuck.resolve()
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    again.destroy()
  })

  it('that waited while the volume was changed is one to the new volume', async () => {
    const first = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    await first.ack(first.sendBlocks(0, source, 0, 1))
    stuck = Promise.withResolvers()
    await arrived(() => first.send(point('cp-1', false)))
    const volumes = [{ diskIndex: 0, volumeId: 'vol-9', devicePath: replicator.volumePath(9), sizeBytes }]
    const second = await replicator.connect()
    const welcome = second.hello(
      helloOf(sizeBytes, { generation: 2, disks: [{ diskIndex: 0, volumeId: 'vol-9', sizeBytes }] }),
    )
    await someTurns()
    const { beat } = replicator.registry.beginBeat()
    const assignments = [replicator.assignment([], { volumes })]
    replicator.registry.apply({ assignments, renewCertificate: false, heartbeatIntervalMs: 1000 }, beat)
    await someTurns()
    stuck.resolve()
    expect((await welcome).disks[0]?.contents).toBe('EMPTY')
    await replicator.registry.applied()
    await second.ack(second.sendBlocks(0, source, 0, blockCount))
    expect(diskOf(9).equals(source)).toBe(true)
    second.destroy()
  })

  it('that waited while the server was taken away is refused', async () => {
    const first = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    await first.ack(first.sendBlocks(0, source, 0, 1))
    stuck = Promise.withResolvers()
    await arrived(() => first.send(point('cp-1', false)))
    const second = await replicator.connect()
    second.send({ type: 'HELLO', body: helloOf(sizeBytes, { connectionIndex: 1 }) })
    await someTurns()
    const gone = replicator.assign()
    await someTurns()
    stuck.resolve()
    expect(await second.closed()).toMatchObject({ code: 'NOT_ASSIGNED' })
    await gone
    expect(replicator.registry.servers).toEqual([])
  })
})

describe('a consistency point', () => {
  it('is not reached over some of the disks', async () => {
    await replicator.assign(replicator.assignment([sizeBytes, sizeBytes]))
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    agent.send(point('cp-1', true))
    const error = await agent.closed()
    expect(error).toMatchObject({ code: 'UNKNOWN_VOLUME', diskIndex: 1, expected: '0, 1', actual: '0' })
    expect(replicator.announced).toEqual([])
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    await again.ack(again.sendBlocks(0, source, 0, 1))
    again.destroy()
  })

  it('whose end can not be written down is held further, and everybody is told', async () => {
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    agent.send(point('cp-1', true))
    await agent.next('BARRIER_REACHED')
    // A folder where the next checkpoint is to be written.
    const obstacle = join(replicator.folder, 'state', 'servers', 's-1.json.next')
    mkdirSync(obstacle)
    await replicator.assign(replicator.assignment([sizeBytes]))
    const error = await agent.closed()
    expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
    expect(error?.message).toMatch(/Cannot write the checkpoint of source server s-1: EISDIR/)
    expect(report()).toMatchObject({ heldConsistencyPointId: 'cp-1', error: error?.message })
    expect(replicator.logLines.some((line) => line['level'] === 50 && line['msg'] === error?.message)).toBe(
      true,
    )
    rmdirSync(obstacle)
    await replicator.assign(replicator.assignment([sizeBytes]))
    expect(report()?.heldConsistencyPointId).toBeUndefined()
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    await again.ack(again.sendBlocks(0, source, 0, 1))
    again.destroy()
  })
})

describe('a server whose checkpoint is damaged', () => {
  it('is not served, and gateway and agent are told why', async () => {
    await replicator.close()
    const checkpoint = join(replicator.folder, 'state', 'servers', 's-1.json')
    writeFileSync(checkpoint, '{"generation":')
    await replicator.open()
    await replicator.assign(replicator.assignment([sizeBytes]))
    const agent = await replicator.connect()
    const error = await agent.closed()
    expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
    expect(error?.message).toMatch(/Cannot serve source server s-1: .*s-1\.json: it is damaged; restore it/)
    expect(report()).toEqual({
      sourceServerId: 's-1',
      generation: 0,
      isConnected: false,
      openVolumeIds: [],
      error: error?.message,
    })
    await replicator.assign(replicator.assignment([sizeBytes]))
    expect(replicator.logLines.filter((line) => line['msg'] === error?.message)).toHaveLength(1)
    writeFileSync(checkpoint, '{"generation":1}')
    await replicator.assign(replicator.assignment([sizeBytes]))
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    expect(report()).not.toHaveProperty('error')
    again.destroy()
  })
})
