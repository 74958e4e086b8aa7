/**
 * The gateway's side of the agent's calls, over real HTTPS: enrolment with one token, renewal, start, heartbeats, farewell, downloads.
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  agentEnrolSchema,
  agentHeartbeatSchema,
  agentStartSchema,
  agentUri,
  gatewayServerName,
  renewSchema,
} from '../../../wire/control_api.ts'
import type { AgentDesired, AgentEnrol, AgentHeartbeat, AgentStart } from '../../../wire/control_api.ts'
import type { TestCa } from '../../fixtures/test_ca.ts'

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text === '' ? undefined : JSON.parse(text)
}

/** Answers what the test sets, remembers what it was told. */
export class FakeAgentGateway {
  readonly token = 'tok-0123456789abcdef0.secret-of-the-test'
  desired: AgentDesired = {
    mode: 'IDLE',
    disks: [],
    throttleBitsPerSecond: 0,
    rescanEpoch: 0,
    renewCertificate: false,
    heartbeatIntervalMs: 200,
  }
  readonly enrolments: AgentEnrol[] = []
  readonly starts: AgentStart[] = []
  readonly heartbeats: AgentHeartbeat[] = []
  /** Serials of the certificates given out, as in `X509Certificate.serialNumber`. */
  readonly serials: string[] = []
  uninstalls = 0
  renewals = 0
  generation = 0
  /** Files for `GET`. */
  readonly files = new Map<string, Uint8Array>()
  /** Refuses calls with this status. */
  refuseWith: number | undefined
  /** How long certificates are good for. */
  validityMs = 3_600_000
  /** The pin of the key, base64. */
  pin = ''
  readonly #ca: TestCa
  #server: Server | undefined

  constructor(ca: TestCa) {
    this.#ca = ca
  }

  /** Listens on loopback; answers the URL. */
  async start(): Promise<string> {
    const own = await this.#ca.issue({ uri: 'rehost://gateway', dns: [gatewayServerName] })
    const key = new X509Certificate(own.certPem).publicKey.export({ type: 'spki', format: 'der' })
    this.pin = createHash('sha256').update(key).digest('base64')
    const options = {
      cert: own.certPem,
      key: own.keyPem,
      ca: this.#ca.caPem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3' as const,
    }
    const server = createServer(options, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  /** The last heartbeat. */
  get last(): AgentHeartbeat | undefined {
    return this.heartbeats.at(-1)
  }

  /** Every note told so far. */
  get notes(): string[] {
    return this.heartbeats.flatMap((heartbeat) => heartbeat.notes.map((note) => note.message))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const problem = (status: number, detail: string): void =>
      json(status, { type: 'about:blank', title: 'Refused', status, detail })
    const file = this.files.get(request.url ?? '')
    if (file !== undefined) {
      response.writeHead(200, { 'content-length': file.length }).end(file)
      return
    }
    const body = await bodyOf(request)
    if (this.refuseWith !== undefined) return problem(this.refuseWith, 'Refused by the test')
    if (request.url === '/agent/v1/enrol') {
      const enrol = agentEnrolSchema.parse(body)
      if (enrol.token !== this.token) return problem(401, 'The installation token is unknown')
      if (this.enrolments.length > 0) return problem(401, 'The installation token is used up')
      this.enrolments.push(enrol)
      return json(200, await this.#certificate(enrol.csrPem))
    }
    const socket = request.socket as TLSSocket
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
    if (certificate?.subjectAltName !== `URI:${agentUri('s-1')}`) return problem(401, 'No certificate')
    switch (request.url) {
      case '/agent/v1/renew':
        this.renewals += 1
        this.desired = { ...this.desired, renewCertificate: false }
        return json(200, await this.#certificate(renewSchema.parse(body).csrPem))
      case '/agent/v1/start':
        this.starts.push(agentStartSchema.parse(body))
        this.generation += 1
        return json(200, { generation: this.generation })
      case '/agent/v1/heartbeat': {
        const heartbeat = agentHeartbeatSchema.parse(body)
        if (heartbeat.generation !== this.generation)
          return problem(409, 'Another run of the agent has taken over')
        this.heartbeats.push(heartbeat)
        return json(200, this.desired)
      }
      case '/agent/v1/uninstalled':
        this.uninstalls += 1
        return json(200, {})
      default:
        return problem(404, 'No such call')
    }
  }

  async #certificate(csrPem: string): Promise<object> {
    const { certPem, serial } = await this.#ca.sign(csrPem, {
      uri: agentUri('s-1'),
      notBefore: new Date(Date.now() - 1000),
      notAfter: new Date(Date.now() + this.validityMs),
    })
    this.serials.push(serial.toUpperCase())
    return { subjectId: 's-1', certificatePem: certPem, caPem: this.#ca.caPem }
  }
}
