import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { windowBytes } from '../../../replicator/session_output.ts'
import { replicatorHeartbeatSchema, replicatorServerName } from '../../../wire/control_api.ts'
import { encodings } from '../../../wire/message.ts'
import { tlsVersionOptions } from '../../../wire/tls.ts'
import { until } from '../../fixtures/waiting.ts'
import { blocksOf, helloOf } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const blockCount = 16
const sizeBytes = blockCount * blockSizeBytes

let replicator: TestReplicator
let source: Buffer
/** Flushes of data wait for it while it is there. */
let stuck: PromiseWithResolvers<void> | undefined
beforeEach(async () => {
  stuck = undefined
  replicator = await TestReplicator.start({ helloDeadlineMs: 500 })
  replicator.wrap = (disk) => ({
    sizeBytes: disk.sizeBytes,
    read: (into, offset) => disk.read(into, offset),
    write: (from, offset) => disk.write(from, offset),
    flush: async () => {
      await stuck?.promise
      await disk.flush()
    },
    check: () => disk.check(),
    close: () => disk.close(),
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
/** Time for frames to be read. */
const someTurns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

describe('a new session of a run', () => {
  it('ends what is left of the one before, so that nothing old lands on something newer', async () => {
    const first = await replicator.connect()
    const second = await replicator.connect()
    await first.hello(helloOf(sizeBytes))
    await second.hello(helloOf(sizeBytes, { connectionIndex: 1 }))
    first.send(point('cp-1', true))
    await first.next('BARRIER_REACHED')
    // It has arrived, and waits behind the gate.
    second.sendBlocks(0, Buffer.alloc(sizeBytes, 1), 0, 1)
    await someTurns()
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
    first.sendBlocks(0, source, 0, blockCount)
    await someTurns()
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
    expect(error?.message).toMatch(/Cannot admit source server s-1 within 500 ms.*check the staging disks/)
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
    first.send(point('cp-1', false))
    await someTurns()
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
    first.send(point('cp-1', false))
    await someTurns()
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

describe('an agent', () => {
  it('resumes no TLS session: each connection shows its certificate anew', async () => {
    const options = {
      host: '127.0.0.1',
      port: replicator.listener.port,
      servername: replicatorServerName,
      ca: replicator.ca.caPem,
      cert: replicator.agentCertificate.certPem,
      key: replicator.agentCertificate.keyPem,
      ...tlsVersionOptions,
    }
    const sessions: Buffer[] = []
    const first = connect(options)
    first.on('session', (session) => sessions.push(session))
    await new Promise((resolve) => first.once('secureConnect', resolve))
    // The ERROR frame that ends it comes after anything that TLS itself has to say.
    await new Promise((resolve) => first.once('close', resolve).resume())
    for (const session of sessions) {
      const again = connect({ ...options, session })
      await new Promise((resolve) => again.once('secureConnect', resolve))
      expect(again.isSessionReused()).toBe(false)
      again.destroy()
    }
  })

  it('makes nobody take memory for blocks before it is admitted', async () => {
    const agent = await replicator.connect()
    const header = Buffer.alloc(16)
    header.writeUInt8(3, 0)
    header.writeUInt32LE(16 + 32 * 16, 4)
    header.writeUInt32LE(sizeBytes, 8)
    header.writeUInt32LE(1, 12)
    agent.socket.write(Buffer.concat([header, Buffer.alloc(16 + 32 * 16 + 100)]))
    const error = await agent.closed()
    expect(error).toMatchObject({ code: 'BAD_FRAME' })
    expect(error?.message).toMatch(/blocks before WELCOME/)
  })

  it('is bounded by what its blocks are, not by what they are compressed to', async () => {
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    stuck = Promise.withResolvers()
    const message = blocksOf(0, Buffer.alloc(sizeBytes, 'rehost '), 0, blockCount)
    const payload = zstdCompressSync(message.payload)
    for (let sent = 0; sent <= windowBytes; sent += sizeBytes)
      agent.send({ ...message, payload, encoding: encodings.ZSTD })
    expect(await agent.closed()).toMatchObject({
      code: 'WINDOW_EXCEEDED',
      expected: `at most ${windowBytes}`,
    })
  })

  it('of which the heartbeat has much to say, does not make it too long to be understood', async () => {
    const devicePath = `/${'x'.repeat(200)}`.repeat(15)
    const volumes = [{ diskIndex: 0, volumeId: 'vol-0', devicePath, sizeBytes }]
    await replicator.assign(replicator.assignment([], { volumes }))
    const agent = await replicator.connect()
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    const error = await agent.closed()
    expect(error?.message).toHaveLength(2000)
    const { sessions } = replicator.registry.beginBeat()
    expect(replicatorHeartbeatSchema.parse({ version: '1', port: 1500, sessions }).sessions[0]?.error).toBe(
      error?.message,
    )
  })

  it('with an expired certificate of its own shows in the heartbeat; with one of others it does not', async () => {
    const { ca } = replicator
    const hour = 3_600_000
    const past = { notBefore: new Date(Date.now() - 2 * hour), notAfter: new Date(Date.now() - hour) }
    const uri = 'rehost://source-server/s-1'
    const expired = await ca.issue({ uri, ...past })
    const unnamed = await replicator.connect({ certificate: expired })
    expect((await unnamed.closed())?.message).toMatch(/it expired at .*install the agent again/)
    expect(report()?.error).toBeUndefined()
    await replicator.assign(replicator.assignment([sizeBytes], { certificateSerials: [expired.serial] }))
    const named = await replicator.connect({ certificate: expired })
    const error = await named.closed()
    expect(report()?.error).toBe(error?.message)
    await replicator.assign(replicator.assignment([sizeBytes]))
    const good = await replicator.connect()
    await good.hello(helloOf(sizeBytes))
    await until('it is over', () => Promise.resolve(report()?.error === undefined))
    good.destroy()
  })
})
