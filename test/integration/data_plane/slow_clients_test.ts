/**
 * Clients that connect and say nothing, or say it one byte at a time, on the replication port and on the agent port: honest agents go on,
 * new ones get in, and memory stays bounded.
 * @module
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SlowClients } from '../../../bench/fleet/slow_clients.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { GatewayProcess } from '../../fixtures/gateway_process.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { heartbeat, inventory } from '../../unit/gateway/callers.ts'
import { call, enrolled } from '../gateway/agent_client.ts'
import { extentsOf, helloOf } from '../replicator/test_agent.ts'
import type { TestAgent } from '../replicator/test_agent.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'

/** Where they come from; honest agents come from 127.0.0.1. */
const hostileAddress = '127.0.0.66'
const slowly = { host: '127.0.0.1', localAddress: hostileAddress, sayEveryMs: 50, handshakeOf: 10 }

describe('the replication port under slow clients', () => {
  const sizeBytes = 256 * blockSizeBytes
  let replicator: TestReplicator
  let slow: SlowClients | undefined
  beforeEach(async () => {
    replicator = await TestReplicator.start()
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    await replicator.assign(replicator.assignment([sizeBytes]))
  })
  afterEach(async () => {
    slow?.end()
    slow = undefined
    await replicator.end()
  })

  const source = randomBytesFrom(seededRandom(1), sizeBytes)

  /** Makes the source durable. */
  async function send(agent: TestAgent): Promise<void> {
    let last = 0
    for (const { firstBlock, blockCount } of extentsOf(source, 16)) {
      last = agent.sendBlocks(0, source, firstBlock, blockCount)
      if (firstBlock % 128 === 112) await agent.ack(last)
    }
    await agent.ack(last)
  }

  it('goes on for who is served, lets others in, and does not grow', async () => {
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await send(agent)
    const rssBefore = process.memoryUsage.rss()
    slow = new SlowClients({ ...slowly, port: replicator.listener.port, count: 300 })
    await until('many have tried', () => Promise.resolve((slow?.opened ?? 0) > 400))
    await send(agent)
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(192 * 1024 * 1024)

    const newcomer = await replicator.connect()
    await newcomer.hello(helloOf(sizeBytes, { generation: 2 }))
    await newcomer.ack(newcomer.sendBlocks(0, source, 0, 16))
    expect(await agent.closed()).toMatchObject({ code: 'STALE_GENERATION' })
    const limits = replicator.logLines.filter((line) => line['code'] === 'LIMIT')
    expect(limits.length).toBeGreaterThan(0)
    expect(limits.every((line) => line['remoteAddress'] === hostileAddress)).toBe(true)
    newcomer.destroy()
  })
})

describe('the agent port under slow clients', () => {
  let gateway: GatewayProcess
  let slow: SlowClients | undefined
  beforeEach(async () => {
    gateway = await GatewayProcess.start()
  })
  afterEach(async () => {
    slow?.end()
    await gateway.stop()
  })

  it('answers heartbeats, takes agents in, and says who was refused', async () => {
    const { identity } = await enrolled(gateway, 'honest')
    const start = { version: '0.1.0', bootId: 'b', sourceProperties: inventory('honest') }
    await call(gateway, '/agent/v1/start', start, identity)
    // More than have room without a certificate.
    slow = new SlowClients({ ...slowly, port: gateway.agentPort, count: 1800 })
    await until('they have filled the room', () =>
      Promise.resolve(gateway.output.includes('connection-refused')),
    )
    for (let beat = 0; beat < 20; beat++) {
      const { status } = await call(
        gateway,
        '/agent/v1/heartbeat',
        heartbeat(1, { state: 'INITIATING' }),
        identity,
      )
      expect(status).toBe(200)
    }
    expect((await enrolled(gateway, 'newcomer')).identity.certPem).toMatch(/BEGIN CERTIFICATE/)
    const refused = gateway.output.split('\n').filter((line) => line.includes('"connection-refused"'))
    expect(refused.every((line) => line.includes(hostileAddress))).toBe(true)
  })
})
