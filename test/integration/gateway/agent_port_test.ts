import { Agent } from 'node:https'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Identity } from './agent_client.ts'
import { agentUri } from '../../../wire/control_api.ts'
import { GatewayProcess } from '../../fixtures/gateway_process.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { until } from '../../fixtures/waiting.ts'
import { heartbeat, inventory } from '../../unit/gateway/callers.ts'
import { call, enrolled } from './agent_client.ts'

let gateway: GatewayProcess

beforeAll(async () => {
  gateway = await GatewayProcess.start()
})

afterAll(() => gateway.stop())

describe('the agent port', () => {
  it('speaks TLS 1.3 and nothing older', async () => {
    const connectWith = (version: 'TLSv1.2' | 'TLSv1.3') =>
      new Promise<string>((resolve, reject) => {
        const socket = connect({
          host: '127.0.0.1',
          port: gateway.agentPort,
          rejectUnauthorized: false,
          minVersion: version,
          maxVersion: version,
        })
        socket.once('secureConnect', () => {
          resolve(socket.getProtocol() ?? '')
          socket.destroy()
        })
        socket.once('error', reject)
      })
    expect(await connectWith('TLSv1.3')).toBe('TLSv1.3')
    await expect(connectWith('TLSv1.2')).rejects.toThrow(/protocol version/)
  })

  it('knows an agent by its certificate, also over resumed connections', async () => {
    const { identity, id } = await enrolled(gateway, 'tls-agent')
    const agent = new Agent({ maxCachedSessions: 10 })
    const start = { version: '0.1.0', bootId: 'b', sourceProperties: inventory('tls-agent') }
    for (let generation = 1; generation <= 4; generation++) {
      expect(await call(gateway, '/agent/v1/start', start, identity, agent)).toEqual({
        status: 200,
        body: { generation },
      })
    }
    agent.destroy()
    const { body } = await call(
      gateway,
      '/agent/v1/heartbeat',
      heartbeat(4, { state: 'INITIATING' }),
      identity,
    )
    expect(body['mode']).toBe('IDLE')
    const server = await gateway.api<{ agent: { generation: number } }>('GET', `/servers/${id}`)
    expect(server.agent.generation).toBe(4)
  })

  it('refuses no certificate, foreign and expired ones, and those with another name', async () => {
    const { identity, id } = await enrolled(gateway, 'victim')
    const foreign = await makeTestCa('Rehost embedded authority')
    const beat = (presented: Identity) => call(gateway, '/agent/v1/heartbeat', heartbeat(1), presented)
    const none = await beat({})
    expect([none.status, none.body.detail]).toEqual([
      401,
      expect.stringContaining('needs the client certificate'),
    ])
    const other = await beat(await foreign.issue({ uri: agentUri(id) }))
    expect([other.status, other.body.detail]).toEqual([
      401,
      expect.stringContaining('was not issued by this Rehost'),
    ])
    const expired = await foreign.issue({
      uri: agentUri(id),
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 3_600_000),
    })
    expect((await beat(expired)).status).toBe(401)
    const written = (message: string) =>
      gateway.output.split('\n').find((line) => line.includes(`"subject":"${id}"`) && line.includes(message))
    for (const message of ['was not issued by this Rehost', 'The client certificate expired at'])
      await until(`the log says: ${message}`, () => Promise.resolve(written(message)))
    const elsewhere = await call(
      gateway,
      '/replicator/v1/heartbeat',
      { version: '1', port: 1, sessions: [] },
      identity,
    )
    expect([elsewhere.status, elsewhere.body.detail]).toEqual([
      403,
      expect.stringContaining('this call is for rehost://replication-server/'),
    ])
  })
})
