import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { serverTelemetrySchema, telemetryKey } from '../../../wire/telemetry.ts'
import { randomInt, seededRandom, seedFor, shuffled } from '../../fixtures/seed.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { until } from '../../fixtures/waiting.ts'
import type { FakeGateway } from './fake_gateway.ts'
import { ReplicatorProcess } from './replicator_process.ts'
import { extentsOf, helloOf, rootOf } from './test_agent.ts'

const seed = seedFor('replicator process')
const sizeBytes = 96 * blockSizeBytes

let replicator: ReplicatorProcess
let folder: string
let gateway: FakeGateway
beforeEach(async () => {
  replicator = await ReplicatorProcess.prepare(sizeBytes)
  folder = replicator.folder
  gateway = replicator.gateway
})
afterEach(async () => {
  await replicator.end()
})

const barrier = (consistencyPointId: string, hold: boolean) =>
  ({ type: 'BARRIER', body: { consistencyPointId, hold, method: 'QUIET', frozenMs: 0 } }) as const

describe('the replicator process', () => {
  it('enrols once, serves, is killed again and again, and ends with identical bytes and root', async () => {
    const random = seededRandom(seed)
    gateway.refusals = 2
    let run = replicator.start()
    await run.line('listens')
    const source = randomBytes(sizeBytes)
    let left = shuffled(random, extentsOf(source, 3))
    for (let life = 0; left.length > 0; life++) {
      await run.line('Source server assigned')
      const agent = await replicator.connect()
      await agent.hello(helloOf(sizeBytes, { generation: life + 1 }))
      const sent = left.map((extent) => ({
        extent,
        sequence: agent.sendBlocks(0, source, extent.firstBlock, extent.blockCount),
      }))
      if (life < 3) {
        await agent.ack(sent[randomInt(random, 0, Math.floor(sent.length / 3))]?.sequence ?? 1)
        run.child.kill('SIGKILL')
        await agent.closed()
      } else await agent.ack(sent.at(-1)?.sequence ?? 1)
      left = sent.filter(({ sequence }) => sequence > (agent.acked ?? 0)).map(({ extent }) => extent)
      if (life < 3) {
        await run.exit
        run = replicator.start()
        if (left.length === 0) await run.line('Source server assigned')
      }
      agent.destroy()
    }
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes, { generation: 100 }))
    agent.send(barrier('cp-1', false))
    expect((await agent.next('BARRIER_REACHED')).body.roots).toEqual([{ diskIndex: 0, root: rootOf(source) }])
    expect(readFileSync(join(folder, 'disk.raw')).equals(source)).toBe(true)
    expect(gateway.enrolments).toBe(1)
    expect(statSync(join(folder, 'state', 'identity.json')).mode & 0o777).toBe(0o600)
    run.child.kill('SIGTERM')
    expect(await agent.closed()).toMatchObject({ code: 'SHUTTING_DOWN', retryable: true })
    expect(await run.exit).toBe(0)
    expect(run.stderr.join('')).toBe('')
    const checkpoint = readFileSync(join(folder, 'state/volumes/vol-0/checkpoint.json'), 'utf8')
    expect(JSON.parse(checkpoint)).toMatchObject({ activeSegments: [], isWritten: true, sizeBytes })
    expect(JSON.stringify(run.log)).not.toContain('PRIVATE KEY')
    expect(JSON.stringify(run.log)).not.toContain(gateway.token)
  })

  it('holds at a consistency point until the gateway lets it go, through an outage of the gateway', async () => {
    const run = replicator.start()
    await run.line('Source server assigned')
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await gateway.stop()
    agent.send(barrier('cp-1', true))
    const { body } = await agent.next('BARRIER_REACHED')
    const sequence = agent.sendBlocks(0, Buffer.alloc(sizeBytes, 1), 0, 1)
    await run.line('Cannot tell the gateway')
    replicator.assign({ consistencyPoint: { consistencyPointId: 'cp-1', state: 'REQUESTED' } })
    await gateway.start(replicator.gatewayPort)
    await until('the gateway is told', () => Promise.resolve(gateway.announced.length > 0))
    expect(gateway.announced[0]).toEqual({
      sourceServerId: 's-1',
      consistencyPointId: 'cp-1',
      method: 'QUIET',
      frozenMs: 0,
      roots: body.roots,
    })
    await until('a heartbeat says so', () =>
      Promise.resolve(gateway.heartbeats.at(-1)?.sessions[0]?.heldConsistencyPointId === 'cp-1'),
    )
    expect(agent.acked).toBeUndefined()
    replicator.assign({ consistencyPoint: { consistencyPointId: 'cp-1', state: 'TAKEN' } })
    await agent.ack(sequence)
    await until('a heartbeat says so', () =>
      Promise.resolve(gateway.heartbeats.at(-1)?.sessions[0]?.heldConsistencyPointId === undefined),
    )
    expect(gateway.heartbeats.at(-1)).toMatchObject({
      port: replicator.port,
      sessions: [{ sourceServerId: 's-1', generation: 1, isConnected: true, openVolumeIds: ['vol-0'] }],
    })
    agent.destroy()
  })

  it('renews its certificate when told, and serves agents with the new one', async () => {
    const run = replicator.start()
    await until('the gateway is asked', () => Promise.resolve(gateway.lastSerial !== undefined))
    const first = gateway.lastSerial
    gateway.desired = { ...gateway.desired, renewCertificate: true }
    await run.line('Certificate renewed')
    await until('the new certificate is used', () => Promise.resolve(gateway.lastSerial !== first))
    const agent = await replicator.connect()
    expect(agent.socket.getPeerX509Certificate()?.serialNumber).toBe(gateway.lastSerial)
    agent.destroy()
    run.child.kill('SIGTERM')
    expect(await run.exit).toBe(0)
    const again = replicator.start()
    const kept = gateway.lastSerial
    await again.line('Source server assigned')
    expect(gateway.lastSerial).toBe(kept)
    expect(gateway.enrolments).toBe(1)
  })

  it('renews at half life by itself', async () => {
    // Half of it is over half a second after enrolment.
    gateway.validityMs = 3000
    const run = replicator.start()
    await run.line('Certificate renewed')
  })

  it('reports telemetry to Redis whether Redis was there first or comes later', async () => {
    const socket = join(folder, 'redis.sock')
    const run = replicator.start({ REDIS_URL: `unix://${socket}` })
    await run.line('Redis is away')
    await run.line('Source server assigned')
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    agent.send({
      type: 'STATUS',
      body: {
        state: 'INITIAL_SYNC',
        backlogBytes: 77,
        lagMs: 1234,
        disks: [{ diskIndex: 0, scannedBytes: 5, backlogBytes: 77, rescans: 2 }],
      },
    })
    await agent.ack(agent.sendBlocks(0, randomBytes(sizeBytes), 0, 16))
    const redis = spawn(
      'redis-server',
      ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder],
      {
        stdio: 'ignore',
      },
    )
    replicator.own(redis)
    await run.line('Redis is back')
    const client = createClient({ url: `unix://${socket}` })
    client.on('error', () => {})
    await client.connect()
    const text = await until('figures arrive', () => client.get(telemetryKey('s-1')))
    expect(serverTelemetrySchema.parse(JSON.parse(text))).toMatchObject({
      sourceServerId: 's-1',
      state: 'INITIAL_SYNC',
      lagMs: 1234,
      backlogBytes: 77,
      durableBytes: 16 * blockSizeBytes,
      rescans: 2,
      disks: [
        { diskIndex: 0, sizeBytes, scannedBytes: 5, backlogBytes: 77, durableBytes: 16 * blockSizeBytes },
      ],
    })
    expect(await client.ttl(telemetryKey('s-1'))).toBeGreaterThan(0)
    await client.close()
    agent.destroy()
  })

  it('names the port and the variable when the port is taken, before it uses up its token', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(replicator.port, '127.0.0.1', resolve))
    const run = replicator.start()
    expect(await run.exit).toBe(1)
    expect(run.lastMessage).toMatch(
      new RegExp(`port ${replicator.port}: another program has it;.*REHOST_REPLICATION_PORT`),
    )
    expect(gateway.enrolments).toBe(0)
    holder.close()
  })

  it.each([
    ['a wrong port', { REHOST_REPLICATION_PORT: 'many' }, /REHOST_REPLICATION_PORT/],
    ['a gateway without TLS', { REHOST_GATEWAY_URL: 'http://127.0.0.1:1' }, /REHOST_GATEWAY_URL/],
    ['no state directory', { REHOST_REPLICATOR_STATE_DIR: '' }, /REHOST_REPLICATOR_STATE_DIR/],
    ['a wrong Redis', { REDIS_URL: 'http://x' }, /REDIS_URL/],
    ['no token', { REHOST_REPLICATOR_TOKEN_FILE: '/nowhere/token' }, /REHOST_REPLICATOR_TOKEN_FILE/],
  ])('refuses %s by name', async (_name, changes, message) => {
    const run = replicator.start(changes)
    expect(await run.exit).toBe(1)
    expect(run.lastMessage).toMatch(message)
  })

  it('says what to do when its token is refused', async () => {
    writeFileSync(join(folder, 'token'), 'tok-another-one')
    const run = replicator.start()
    expect(await run.exit).toBe(1)
    expect(run.lastMessage).toMatch(/403: Refused: The token is unknown or used up/)
    expect(JSON.stringify(run.log)).not.toContain('tok-another-one')
  })

  it('does not trust a gateway of another authority', async () => {
    writeFileSync(join(folder, 'ca.pem'), (await makeTestCa('Another CA')).caPem)
    const run = replicator.start()
    await run.line('Cannot enrol yet')
    expect(gateway.enrolments).toBe(0)
    run.child.kill('SIGTERM')
    expect(await run.exit).toBe(0)
  })

  it('forgets what an earlier run left of servers that are not assigned any more', async () => {
    mkdirSync(join(folder, 'state', 'volumes', 'vol-old'), { recursive: true })
    mkdirSync(join(folder, 'state', 'servers'))
    writeFileSync(join(folder, 'state', 'servers', 's-old.json'), '{"generation":1}')
    const run = replicator.start()
    await run.line('Source server assigned')
    expect(() => statSync(join(folder, 'state', 'volumes', 'vol-old'))).toThrow(/ENOENT/)
    expect(() => statSync(join(folder, 'state', 'servers', 's-old.json'))).toThrow(/ENOENT/)
  })
})
