import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agentUri, gatewayServerName } from '../../wire/control_api.ts'
import { GatewayProcess } from '../fixtures/gateway_process.ts'
import { makeTestCa } from '../fixtures/test_ca.ts'
import { until } from '../fixtures/waiting.ts'
import { heartbeat, inventory } from '../unit/gateway/callers.ts'
import { newKeyAndRequest } from '../../agent/certificate_request.ts'

let gateway: GatewayProcess

beforeAll(async () => {
  gateway = await GatewayProcess.start()
})

afterAll(() => gateway.stop())

interface Identity {
  certPem?: string
  keyPem?: string
}

/** A call on the agent port, over a connection of its own or of `agent`. */
async function call(
  path: string,
  body: unknown,
  identity: Identity = {},
  agent?: Agent,
): Promise<{ status: number; body: { detail?: string } & Record<string, unknown> }> {
  const caPem = await readFile(join(gateway.dataDir, 'ca/ca.crt.pem'), 'utf8')
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: gateway.agentPort,
        path,
        method: 'POST',
        ca: caPem,
        servername: gatewayServerName,
        minVersion: 'TLSv1.3',
        cert: identity.certPem,
        key: identity.keyPem,
        agent: agent ?? false,
        headers: { 'content-type': 'application/json' },
      },
      (incoming) => {
        let text = ''
        incoming.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify(body))
  })
}

async function enrolled(hostname: string): Promise<{ identity: Required<Identity>; id: string }> {
  const { token } = await gateway.api<{ token: string }>('POST', '/tokens', {})
  const { keyPem, csrPem } = await newKeyAndRequest()
  const { status, body } = await call('/agent/v1/enrol', {
    token,
    csrPem,
    version: '0.1.0',
    sourceProperties: inventory(hostname),
  })
  expect(status).toBe(200)
  return { identity: { certPem: String(body['certificatePem']), keyPem }, id: String(body['subjectId']) }
}

describe('the gateway process', () => {
  it('leaves the first password and the token of the command line to its owner alone', async () => {
    const password = (await readFile(join(gateway.dataDir, 'first-sign-in'), 'utf8')).trim()
    for (const name of ['first-sign-in', 'cli-token', 'ca/ca.key.pem']) {
      expect((await stat(join(gateway.dataDir, name))).mode & 0o777).toBe(0o600)
    }
    const response = await fetch(`${gateway.url}/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gateway.url },
      body: new URLSearchParams({ userName: 'admin', password }).toString(),
      redirect: 'manual',
    })
    expect(response.status).toBe(303)
    expect(gateway.output).not.toContain(password)
    expect(gateway.output).not.toContain(await gateway.cliToken())
  })

  it('tells workers where agents reach it', async () => {
    const store = gateway.dynamodb.store()
    const setting = async (id: string) => (await store.get('setting', { id }))?.value.value
    expect(await setting('agent-url')).toBe(`https://127.0.0.1:${gateway.agentPort}`)
    expect(await setting('ca-certificate')).toContain('BEGIN CERTIFICATE')
    await store.close()
  })

  it.each([
    ['REHOST_HTTP_PORT', 'REHOST_AGENT_PORT'],
    ['REHOST_AGENT_PORT', 'REHOST_HTTP_PORT'],
  ])('ends with the name of the port and of %s when it is taken', async (variable, other) => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as { port: number }
    const { execPath } = process
    const main = join(import.meta.dirname, '../../gateway/main.ts')
    const environment = { ...gateway.environment, [variable]: String(port), [other]: '0' }
    const free = createServer()
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
    environment[other] = String((free.address() as { port: number }).port)
    await new Promise((resolve) => free.close(resolve))
    const failure = await promisify(execFile)(execPath, [main], { env: environment, timeout: 30_000 }).catch(
      (error: unknown) => error as { code: number; stderr: string },
    )
    expect(failure).toMatchObject({ code: 1 })
    expect(failure.stderr).toContain(
      `port ${port} on 127.0.0.1 is taken: stop what uses it, or set ${variable} to another port`,
    )
    await new Promise((resolve) => blocker.close(resolve))
  })

  it('refuses bad settings by name', async () => {
    const main = join(import.meta.dirname, '../../gateway/main.ts')
    const environment = {
      ...gateway.environment,
      REHOST_HTTP_PORT: 'many',
      REDIS_URL: 'http://x',
      REHOST_ADMIN_PASSWORD: 'short',
    }
    const failure = await promisify(execFile)(process.execPath, [main], {
      env: environment,
      timeout: 30_000,
    }).catch((error: unknown) => error as { code: number; stderr: string })
    expect(failure).toMatchObject({ code: 1 })
    for (const name of ['REHOST_HTTP_PORT', 'REDIS_URL', 'REHOST_ADMIN_PASSWORD'])
      expect(failure.stderr).toContain(name)
    expect(failure.stderr).not.toContain('short')
  })

  it('serves the install command to a client that pins its key, and to no other key', async () => {
    const { installCommand } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    const pin = /'(sha256\/\/[^']+)'/.exec(installCommand)?.[1] ?? ''
    const curl = (key: string) =>
      promisify(execFile)(
        'curl',
        ['-sSk', '--pinnedpubkey', key, `https://127.0.0.1:${gateway.agentPort}/livez`],
        { timeout: 20_000 },
      )
    expect((await curl(pin)).stdout).toBe('ok\n')
    await expect(curl('sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')).rejects.toMatchObject({
      code: 90,
    })
  })
})

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
    const { identity, id } = await enrolled('tls-agent')
    const agent = new Agent({ maxCachedSessions: 10 })
    const start = { version: '0.1.0', bootId: 'b', sourceProperties: inventory('tls-agent') }
    for (let generation = 1; generation <= 4; generation++) {
      expect(await call('/agent/v1/start', start, identity, agent)).toEqual({
        status: 200,
        body: { generation },
      })
    }
    agent.destroy()
    const { body } = await call('/agent/v1/heartbeat', heartbeat(4, { state: 'INITIATING' }), identity)
    expect(body['mode']).toBe('IDLE')
    const server = await gateway.api<{ agent: { generation: number } }>('GET', `/servers/${id}`)
    expect(server.agent.generation).toBe(4)
  })

  it('refuses no certificate, foreign and expired ones, and those with another name', async () => {
    const { identity, id } = await enrolled('victim')
    const foreign = await makeTestCa('Rehost embedded authority')
    const beat = (presented: Identity) => call('/agent/v1/heartbeat', heartbeat(1), presented)
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
    const elsewhere = await call(
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

describe('while something is away', () => {
  it('pages and heartbeats go on without Redis, and readiness says so', async () => {
    const { identity, id } = await enrolled('no-redis')
    await call(
      '/agent/v1/start',
      { version: '0.1.0', bootId: 'b', sourceProperties: inventory('no-redis') },
      identity,
    )
    await gateway.redis.kill()
    expect((await fetch(`${gateway.url}/readyz?verbose`)).status).toBe(503)
    expect(await (await fetch(`${gateway.url}/livez`)).text()).toBe('ok\n')
    expect((await call('/agent/v1/heartbeat', heartbeat(1), identity)).status).toBe(200)
    expect((await gateway.api<{ lifecycle: unknown }>('GET', `/servers/${id}`)).lifecycle).toBeDefined()
    await gateway.redis.begin()
    await until('it is ready again', async () => (await fetch(`${gateway.url}/readyz`)).ok)
  })

  it('the process ends within seconds though a live page is open, and begins again with the same key and sign-ins', async () => {
    const password = (await readFile(join(gateway.dataDir, 'first-sign-in'), 'utf8')).trim()
    const signIn = await fetch(`${gateway.url}/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gateway.url },
      body: new URLSearchParams({ userName: 'admin', password }).toString(),
      redirect: 'manual',
    })
    const cookie = (signIn.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
    const { installCommand: before } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    const live = await fetch(`${gateway.url}/servers/live`, { headers: { cookie } })
    expect(live.headers.get('content-type')).toBe('text/event-stream')
    const child = gateway.child
    const closed = child === undefined ? undefined : once(child, 'close')
    const began = Date.now()
    child?.kill('SIGTERM')
    await closed
    expect(child?.exitCode).toBe(0)
    expect(Date.now() - began).toBeLessThan(8000)
    await live.body?.cancel().catch(() => undefined)
    const token = await gateway.cliToken()
    await gateway.begin()
    expect(await gateway.cliToken()).toBe(token)
    const { installCommand: after } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    expect(after.split(' --token')[0]).toBe(before.split(' --token')[0])
    expect((await fetch(`${gateway.url}/servers`, { headers: { cookie }, redirect: 'manual' })).status).toBe(
      200,
    )
  })
})
