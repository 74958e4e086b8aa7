import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer as createTcpServer } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { HttpsControlClient } from '../../../agent/control_client.ts'
import { enrol, isExpired, renew, lifeOf } from '../../../agent/enrolment.ts'
import type { Identity } from '../../../agent/state_files.ts'
import { StateFiles } from '../../../agent/state_files.ts'
import type { SourceProperties } from '../../../domain/source_server.ts'
import { FakeAgentGateway } from '../../integration/agent/fake_agent_gateway.ts'
import type { TestCa } from '../../fixtures/test_ca.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'

const sourceProperties: SourceProperties = {
  lastUpdatedAt: '2026-01-01T00:00:00.000Z',
  identificationHints: { hostname: 'web-1', fqdn: 'web-1' },
  os: { fullString: 'Linux', family: 'linux' },
  cpus: [{ cores: 1, modelName: 'x' }],
  ramBytes: 1,
  firmware: 'BIOS',
  networkInterfaces: [],
  disks: [],
}

describe('HttpsControlClient and enrolment', () => {
  let ca: TestCa
  let gateway: FakeAgentGateway
  let url: string
  let folder: string
  let files: StateFiles
  let identity: Identity | undefined
  let client: HttpsControlClient

  const makeClient = (changes: Partial<ConstructorParameters<typeof HttpsControlClient>[0]> = {}) =>
    new HttpsControlClient({
      gatewayUrl: url,
      caPem: ca.caPem,
      identity: () => identity,
      nowMs: Date.now,
      ...changes,
    })

  beforeEach(async () => {
    ca = await makeTestCa()
    gateway = new FakeAgentGateway(ca)
    url = await gateway.start()
    folder = mkdtempSync(join(tmpdir(), 'rehost-enrol-'))
    files = new StateFiles(join(folder, 'state'))
    await files.prepare()
    identity = undefined
    client = makeClient()
  })

  afterEach(async () => {
    client.close()
    await gateway.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const input = (token: string) => ({
    client,
    files,
    gatewayUrl: url,
    caPem: ca.caPem,
    token,
    sourceProperties,
  })

  it('gets a certificate for a token and speaks with it', async () => {
    identity = await enrol(input(gateway.token))
    expect(identity.sourceServerId).toBe('s-1')
    expect(await files.readIdentity()).toEqual(identity)
    expect(new X509Certificate(identity.certificatePem).checkPrivateKey).toBeTypeOf('function')
    expect(await client.start({ version: '1', bootId: 'b', sourceProperties })).toEqual({ generation: 1 })
    expect(Math.abs(client.clockSkewMs ?? 1e9)).toBeLessThan(5000)
  })

  it('renews with a new key, and the new certificate is used from then on', async () => {
    identity = await enrol(input(gateway.token))
    const before = identity
    identity = await renew(client, files, identity)
    expect(identity.keyPem).not.toBe(before.keyPem)
    expect(await files.readIdentity()).toEqual(identity)
    await client.start({ version: '1', bootId: 'b', sourceProperties })
  })

  it('says what to do about a token that is wrong or used up', async () => {
    await expect(enrol(input('wrong-token'))).rejects.toThrow('make a new command on the add-server page')
    await enrol(input(gateway.token))
    const again = enrol(input(gateway.token))
    await expect(again).rejects.toMatchObject({
      cause: { message: expect.stringContaining('The installation token is used up (401)') },
    })
  })

  it('needs its certificate for every other call', async () => {
    await expect(client.start({ version: '1', bootId: 'b', sourceProperties })).rejects.toThrow(
      'The gateway refused /agent/v1/start: No certificate (401)',
    )
  })

  it('trusts no other CA', async () => {
    const other = await makeTestCa()
    client = makeClient({ caPem: other.caPem })
    await expect(client.uninstalled()).rejects.toThrow(
      /Cannot reach the gateway at 127.0.0.1 port \d+: its certificate is not from the CA/,
    )
  })

  it('says where nothing listens', async () => {
    await gateway.stop()
    await expect(client.uninstalled()).rejects.toThrow(
      /Cannot reach the gateway at 127.0.0.1 port \d+: nothing listens there/,
    )
  })

  it('does not wait for ever', async () => {
    const sockets: Socket[] = []
    const silent = createTcpServer((socket) => sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    client = makeClient({
      gatewayUrl: `https://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      timeoutMs: 300,
    })
    await expect(client.uninstalled()).rejects.toThrow('there is no answer')
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('says when something else than TLS answers', async () => {
    const plain = createServer()
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    client = makeClient({ gatewayUrl: `https://127.0.0.1:${(plain.address() as AddressInfo).port}` })
    await expect(client.uninstalled()).rejects.toThrow('what answers there does not speak TLS 1.3')
    plain.closeAllConnections()
    plain.close()
  })

  it('refuses an answer of another form', async () => {
    gateway.desired = { mode: 'DANCE' } as never
    identity = await enrol(input(gateway.token))
    await client.start({ version: '1', bootId: 'b', sourceProperties })
    const body = {
      generation: 1,
      state: 'STOPPED',
      isConnected: false,
      lagMs: null,
      backlogBytes: 0,
      bytesPerSecond: 0,
      sentBytes: 0,
      rescanEpoch: 0,
      disks: [],
      notes: [],
    } as const
    await expect(client.heartbeat({ ...body, disks: [], notes: [] })).rejects.toThrow(
      "Cannot understand the gateway's answer to /agent/v1/heartbeat",
    )
  })

  it('goes through the proxy of the environment, and past it where that says so', async () => {
    const asked: string[] = []
    const proxy = createServer()
    proxy.on('connect', (request, clientSocket, head) => {
      asked.push(request.url ?? '')
      const [host = '', port = ''] = (request.url ?? '').split(':')
      const far = connect(Number(port), host, () => {
        clientSocket.write('HTTP/1.1 200 OK\r\n\r\n')
        far.write(head)
        far.pipe(clientSocket)
        clientSocket.pipe(far)
      })
      far.on('error', () => clientSocket.destroy())
      clientSocket.on('error', () => far.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    try {
      client = makeClient({ proxy: { HTTPS_PROXY } })
      identity = await enrol(input(gateway.token))
      await client.start({ version: '1', bootId: 'b', sourceProperties })
      expect(asked).toContain(url.slice('https://'.length))
      const count = asked.length
      client = makeClient({ proxy: { HTTPS_PROXY, NO_PROXY: '127.0.0.1' } })
      await client.start({ version: '1', bootId: 'b', sourceProperties })
      expect(asked).toHaveLength(count)
    } finally {
      client.close()
      proxy.closeAllConnections()
      proxy.close()
    }
  })

  it('names the proxy when that is what cannot be reached, without its password', async () => {
    client = makeClient({ proxy: { HTTPS_PROXY: 'http://me:secret@127.0.0.1:9' } })
    const failing = client.uninstalled()
    await expect(failing).rejects.toThrow(/by way of the proxy 127.0.0.1:9.*nothing listens there/)
    await expect(failing).rejects.not.toThrow('secret')
  })

  it('knows when a certificate is to be renewed and when it is over', async () => {
    const { certPem } = await ca.issue({
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2026-01-03T00:00:00Z'),
    })
    expect(lifeOf(certPem).renewAtMs).toBe(Date.parse('2026-01-02T00:00:00Z'))
    expect(isExpired(certPem, Date.parse('2026-01-02T23:59:59Z'))).toBe(false)
    expect(isExpired(certPem, Date.parse('2026-01-03T00:00:00Z'))).toBe(true)
  })

  it('says so when the stored identity is damaged', async () => {
    const { writeFile } = await import('node:fs/promises')
    await writeFile(join(files.directory, 'identity.json'), '{"half":')
    await expect(files.readIdentity()).rejects.toThrow(/it is damaged; install the agent again/)
  })
})
