/**
 * The gateway's side of the control calls, as far as a replication server sees it: enrolment with one token, renewal, heartbeats.
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  consistencyReachedSchema,
  gatewayServerName,
  renewSchema,
  replicatorEnrolSchema,
  replicatorHeartbeatSchema,
  replicatorServerName,
  replicatorUri,
} from '../../../wire/control_api.ts'
import type { ConsistencyReached, ReplicatorDesired, ReplicatorHeartbeat } from '../../../wire/control_api.ts'
import type { TestCa } from '../../fixtures/test_ca.ts'

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return JSON.parse(text)
}

/** Answers what the test sets, remembers what it was told. */
export class FakeGateway {
  readonly token = 'tok-secret-of-the-test'
  desired: ReplicatorDesired = { assignments: [], renewCertificate: false, heartbeatIntervalMs: 100 }
  readonly heartbeats: ReplicatorHeartbeat[] = []
  readonly announced: ConsistencyReached[] = []
  /** Serial of the certificate of the last call. */
  lastSerial: string | undefined
  enrolments = 0
  /** Refuses this many calls with 503 first. */
  refusals = 0
  /** Takes no certificate for good any more. */
  isRefusing = false
  /** How long certificates are good for. */
  validityMs = 3_600_000
  /** When the last one that was issued ends. */
  expiresAtMs = 0
  readonly #ca: TestCa
  #server: Server | undefined

  constructor(ca: TestCa) {
    this.#ca = ca
  }

  async start(port = 0): Promise<number> {
    const own = await this.#ca.issue({ uri: 'rehost://gateway', dns: [gatewayServerName] })
    const server = createServer(
      {
        cert: own.certPem,
        key: own.keyPem,
        ca: this.#ca.caPem,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
      },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          response.writeHead(500).end(String(error))
        })
      },
    )
    this.#server = server
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const problem = (status: number, detail: string): void =>
      json(status, { type: 'about:blank', title: 'Refused', status, detail })
    const body = await bodyOf(request)
    if (this.refusals > 0) {
      this.refusals--
      problem(503, 'Not yet')
      return
    }
    const socket = request.socket as TLSSocket
    if (request.url === '/replicator/v1/enrol') {
      const enrol = replicatorEnrolSchema.parse(body)
      this.enrolments++
      if (enrol.token !== this.token || this.enrolments > 1) {
        problem(403, 'The token is unknown or used up; have the replication server made anew')
        return
      }
      json(200, await this.#certificate(enrol.csrPem, enrol.replicationServerId))
      return
    }
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
    if (this.isRefusing || certificate?.subjectAltName?.includes(replicatorUri('i-1')) !== true) {
      problem(401, 'No certificate')
      return
    }
    this.lastSerial = certificate.serialNumber
    switch (request.url) {
      case '/replicator/v1/renew':
        this.desired = { ...this.desired, renewCertificate: false }
        json(200, await this.#certificate(renewSchema.parse(body).csrPem, 'i-1'))
        return
      case '/replicator/v1/heartbeat':
        this.heartbeats.push(replicatorHeartbeatSchema.parse(body))
        json(200, this.desired)
        return
      case '/replicator/v1/consistency-points':
        this.announced.push(consistencyReachedSchema.parse(body))
        json(200, {})
        return
      default:
        problem(404, 'No such call')
    }
  }

  async #certificate(csrPem: string, replicationServerId: string): Promise<object> {
    this.expiresAtMs = Date.now() + this.validityMs
    const { certPem } = await this.#ca.sign(csrPem, {
      uri: replicatorUri(replicationServerId),
      dns: [replicatorServerName],
      notBefore: new Date(Date.now() - 1000),
      notAfter: new Date(this.expiresAtMs),
    })
    return { subjectId: replicationServerId, certificatePem: certPem, caPem: this.#ca.caPem }
  }
}

/** Serial of a PEM certificate. */
export function serialOf(certificatePem: string): string {
  return new X509Certificate(certificatePem).serialNumber
}
