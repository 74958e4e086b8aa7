import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { agentUri } from '../../../wire/control_api.ts'
import type { Hello, WireErrorBody } from '../../../wire/message.ts'
import type { TestCertificateRequest } from '../../fixtures/test_ca.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf, TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const sizeBytes = 4 * blockSizeBytes
const hour = 3_600_000
const uri = agentUri('s-1')

let replicator: TestReplicator
beforeAll(async () => {
  replicator = await TestReplicator.start({ helloDeadlineMs: 1500, maxUnauthenticated: 3 })
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
})
afterAll(async () => {
  await replicator.end()
})

/** The last refusal in the log. */
function lastRefusal(): Record<string, unknown> | undefined {
  return replicator.logLines.findLast((line) => line['event'] === 'connection-refused')
}

describe('a connection is refused', () => {
  const certificates: [name: string, request: TestCertificateRequest, message: RegExp][] = [
    [
      'that has expired',
      { uri, notBefore: new Date(Date.now() - 2 * hour), notAfter: new Date(Date.now() - hour) },
      /expired/,
    ],
    [
      'that is not valid yet',
      { uri, notBefore: new Date(Date.now() + hour), notAfter: new Date(Date.now() + 2 * hour) },
      /not valid yet/,
    ],
    ['that is meant for servers alone', { uri, usage: 'serverAuth' }, /not meant for clients/],
    ['without a name', {}, /not an agent's/],
    ['of a replication server', { uri: 'rehost://replication-server/i-1' }, /not an agent's/],
    ['with a name hidden behind another', { uri, dns: ['a.example'] }, /not an agent's/],
    ['with a name that only begins right', { uri: `${uri}/more` }, /not an agent's/],
    ['of another server', { uri: agentUri('s-2') }, /s-2: it is not assigned/],
    ['that the gateway does not name', { uri }, /not the one that the gateway named/],
  ]
  it.each(certificates)('with a certificate %s', async (_name, request, message) => {
    const certificate = await replicator.ca.issue(request)
    const times: number[] = []
    let error: WireErrorBody | undefined
    // Whatever else the machine does, one of some tries is as quick as it is.
    for (let attempt = 0; attempt < 3 && Math.min(Infinity, ...times) >= 1000; attempt++) {
      const begin = performance.now()
      error = await (await replicator.connect({ certificate })).closed()
      times.push(performance.now() - begin)
    }
    expect(Math.min(...times), 'milliseconds to the refusal').toBeLessThan(1000)
    expect(error).toMatchObject({ code: 'NOT_ASSIGNED' })
    expect(error?.message).toMatch(message)
    expect(lastRefusal()).toMatchObject({
      code: 'NOT_ASSIGNED',
      msg: `Connection refused: ${error?.message}`,
    })
  })

  it('with a certificate of another authority', async () => {
    const other = await makeTestCa('Another CA')
    const agent = await replicator.connect({ certificate: await other.issue({ uri }) })
    expect((await agent.closed())?.message).toMatch(/another authority/)
    const namesake = await makeTestCa()
    const impostor = await replicator.connect({ certificate: await namesake.issue({ uri }) })
    expect((await impostor.closed())?.message).toMatch(/its signature is wrong/)
  })

  it('with a certificate that it signed itself', async () => {
    const agent = await replicator.connect({ certificate: await replicator.ca.issueSelfSigned({ uri }) })
    expect((await agent.closed())?.message).toMatch(/it is self-signed/)
  })

  it('without a certificate', async () => {
    const { port } = replicator.listener
    const agent = await TestAgent.connect({ port, caPem: replicator.ca.caPem })
    expect((await agent.closed())?.message).toMatch(/without a certificate/)
  })

  it('with TLS 1.2, by an alert and a line in the log', async () => {
    const agent = await replicator.connect({ tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } })
    await agent.closed()
    expect(agent.failure?.message).toMatch(/protocol version/)
    expect(lastRefusal()).toMatchObject({ code: 'TLS' })
  })

  it('with another protocol, or none', async () => {
    const none = await replicator.connect({ tls: { ALPNProtocols: [] } })
    expect(await none.closed()).toMatchObject({ code: 'NOT_ASSIGNED', expected: 'rehost/1', actual: 'none' })
    const other = await replicator.connect({ tls: { ALPNProtocols: ['h2'] } })
    expect(await other.closed()).toBeUndefined()
    expect(other.failure?.message).toMatch(/no application protocol/)
  })

  const hellos: [name: string, changes: Partial<Hello>, code: string, expected: string, actual: string][] = [
    ['another protocol version', { protocolVersion: 1 }, 'VERSION_MISMATCH', '2', '1'],
    ['another replication server', { replicationServerId: 'i-2' }, 'WRONG_SERVER', 'i-1', 'i-2'],
    ['another source server than its certificate', { sourceServerId: 's-2' }, 'WRONG_SERVER', 's-1', 's-2'],
    ['another block size', { blockSizeBytes: 4096 }, 'BLOCK_SIZE_MISMATCH', '65536', '4096'],
    [
      'an unknown disk',
      { disks: [{ diskIndex: 1, volumeId: 'vol-0', sizeBytes }] },
      'UNKNOWN_VOLUME',
      'no such disk',
      'vol-0',
    ],
    [
      'an unknown volume',
      { disks: [{ diskIndex: 0, volumeId: 'vol-1', sizeBytes }] },
      'UNKNOWN_VOLUME',
      'vol-0',
      'vol-1',
    ],
    [
      'a disk that is larger',
      { disks: [{ diskIndex: 0, volumeId: 'vol-0', sizeBytes: sizeBytes + 512 }] },
      'VOLUME_TOO_SMALL',
      `at least ${sizeBytes + 512}`,
      `${sizeBytes}`,
    ],
  ]
  it.each(hellos)('after a HELLO with %s', async (_name, changes, code, expected, actual) => {
    const agent = await replicator.connect()
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes, changes) })
    expect(await agent.closed()).toMatchObject({ code, expected, actual })
  })

  it('when the volume is smaller than the gateway thinks', async () => {
    makeSparseFile(replicator.volumePath(7), sizeBytes)
    const volume = {
      diskIndex: 7,
      volumeId: 'vol-7',
      devicePath: replicator.volumePath(7),
      sizeBytes: 2 * sizeBytes,
    }
    const assignment = replicator.assignment([sizeBytes])
    await replicator.assign({ ...assignment, volumes: [...assignment.volumes, volume] })
    const agent = await replicator.connect()
    const disks = [{ diskIndex: 7, volumeId: 'vol-7', sizeBytes: 2 * sizeBytes }]
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes, { disks }) })
    expect(await agent.closed()).toMatchObject({
      code: 'VOLUME_TOO_SMALL',
      diskIndex: 7,
      actual: `${sizeBytes}`,
    })
    await replicator.assign(assignment)
  })

  it('when HELLO does not come in time', async () => {
    const agent = await replicator.connect()
    expect(await agent.closed()).toMatchObject({ code: 'BAD_FRAME' })
  })

  it('when too many have not said HELLO, while those who have are served', async () => {
    const good = await replicator.connect()
    await good.hello(helloOf(sizeBytes))
    const idle = Array.from({ length: 3 }, () => connect(replicator.listener.port, '127.0.0.1'))
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
    // The server counts a moment after the client has connected.
    const refused = await until('one is refused', async () => {
      const agent = await replicator.connect()
      if (agent.isClosed || agent.failure !== undefined) return agent
      agent.destroy()
      return undefined
    })
    expect(await refused.closed()).toBeUndefined()
    expect(replicator.logLines.filter((line) => line['code'] === 'LIMIT')).not.toEqual([])
    good.send({ type: 'PING' })
    await good.next('PONG')
    for (const socket of idle) socket.destroy()
    good.destroy()
  })

  it('and none of them has opened, written or forgotten anything', async () => {
    await until('everybody has gone', async () => {
      const agent = await replicator.connect()
      try {
        const welcome = await agent.hello(helloOf(sizeBytes))
        return welcome.disks[0]?.contents === 'EMPTY'
      } catch (error) {
        // Still counted as too many: the sockets of the test before are just closing.
        return error instanceof Error && /Closed before/.test(error.message) ? false : Promise.reject(error)
      } finally {
        agent.destroy()
      }
    })
  })

  it('for good: whoever goes on sending keeps no place that others need', async () => {
    const others = await Promise.all([0, 1, 2].map(() => replicator.ca.issue({ uri: agentUri('s-9') })))
    const timers: NodeJS.Timeout[] = []
    for (const certificate of others) {
      const hostile = await replicator.connect({ certificate, tls: { allowHalfOpen: true } })
      timers.push(setInterval(() => hostile.socket.write('more'), 50))
    }
    const good = await until(
      'there is room again',
      async () => {
        const agent = await replicator.connect()
        return await agent.hello(helloOf(sizeBytes)).then(
          () => agent,
          () => false as const,
        )
      },
      10_000,
    )
    for (const timer of timers) clearInterval(timer)
    good.destroy()
  })
})
