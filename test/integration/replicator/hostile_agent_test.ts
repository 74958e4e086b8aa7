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
import { withCalls } from '../../fixtures/disk_calls.ts'

const blockCount = 16
const sizeBytes = blockCount * blockSizeBytes

let replicator: TestReplicator
/** Flushes of data wait for it while it is there. */
let stuck: PromiseWithResolvers<void> | undefined
beforeEach(async () => {
  stuck = undefined
  replicator = await TestReplicator.start()
  replicator.wrap = (disk) =>
    withCalls(disk, {
      flush: async () => {
        await stuck?.promise
        await disk.flush()
      },
    })
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
})
afterEach(async () => {
  stuck?.resolve()
  await replicator.end()
})

const report = () => replicator.registry.beginBeat().sessions[0]
describe('an agent that can not be trusted', () => {
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
