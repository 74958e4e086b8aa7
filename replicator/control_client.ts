/**
 * Calls to the gateway: HTTPS with the pinned CA, TLS 1.3, the replicator's certificate once it has one.
 * @module
 */
import { Agent, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import type {
  ConsistencyReached,
  Enrolled,
  ReplicatorDesired,
  ReplicatorEnrol,
  ReplicatorHeartbeat,
} from '../wire/control_api.ts'
import {
  enrolledSchema,
  gatewayServerName,
  problemSchema,
  replicatorDesiredSchema,
} from '../wire/control_api.ts'
import type { Identity } from './identity.ts'

/** The largest answer that is read: assignments of a full replication server fit many times. */
const maxAnswerBytes = 8 * 1024 * 1024

/** How long one call may take. */
const callDeadlineMs = 15_000

/** The gateway refused a call; `status` is its HTTP status. */
export class GatewayRefusal extends Error {
  override name = 'GatewayRefusal'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }

  /** Whether the same call can be accepted later without anything changing here. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408
  }
}

/** Where and how to call. */
export interface ControlClientOptions {
  gatewayUrl: string
  caPem: string
  /** Undefined before enrolment. */
  identity: Identity | undefined
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxAnswerBytes) throw new Error(`Cannot read an answer of more than ${maxAnswerBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function refusal(status: number, path: string, text: string): GatewayRefusal {
  let detail = text.slice(0, 300)
  try {
    const problem = problemSchema.safeParse(JSON.parse(text))
    if (problem.success) detail = `${problem.data.title}: ${problem.data.detail}`
  } catch (error) {
    // Not a problem document: a proxy's page, perhaps. Its beginning is shown as it is.
    detail = error instanceof SyntaxError ? detail : String(error)
  }
  return new GatewayRefusal(status, `The gateway refused ${path} with ${status}: ${detail}`)
}

/** The gateway, as a replicator talks to it. Every call rejects with {@link GatewayRefusal} or the network's error. */
export class ControlClient {
  readonly #url: string
  readonly #caPem: string
  #agent: Agent

  constructor(options: ControlClientOptions) {
    this.#url = options.gatewayUrl
    this.#caPem = options.caPem
    this.#agent = this.#newAgent(options.identity)
  }

  /** Uses another key and certificate from now on. */
  setIdentity(identity: Identity): void {
    this.#agent.destroy()
    this.#agent = this.#newAgent(identity)
  }

  enrol(body: ReplicatorEnrol, signal: AbortSignal): Promise<Enrolled> {
    return this.#post('/replicator/v1/enrol', body, enrolledSchema, signal)
  }

  renew(csrPem: string, signal: AbortSignal): Promise<Enrolled> {
    return this.#post('/replicator/v1/renew', { csrPem }, enrolledSchema, signal)
  }

  heartbeat(body: ReplicatorHeartbeat, signal: AbortSignal): Promise<ReplicatorDesired> {
    return this.#post('/replicator/v1/heartbeat', body, replicatorDesiredSchema, signal)
  }

  async consistencyReached(body: ConsistencyReached, signal: AbortSignal): Promise<void> {
    await this.#send('/replicator/v1/consistency-points', body, signal)
  }

  /** Drops connections that are kept for later calls. */
  close(): void {
    this.#agent.destroy()
  }

  #newAgent(identity: Identity | undefined): Agent {
    return new Agent({
      keepAlive: true,
      maxSockets: 4,
      ca: this.#caPem,
      servername: gatewayServerName,
      minVersion: 'TLSv1.3',
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
    })
  }

  async #post<T>(path: string, body: unknown, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const text = await this.#send(path, body, signal)
    let answer: unknown
    try {
      answer = JSON.parse(text)
    } catch (cause) {
      throw new Error(`Cannot read the gateway's answer to ${path} as JSON`, { cause })
    }
    const parsed = schema.safeParse(answer)
    if (parsed.success) return parsed.data
    throw new Error(`Cannot understand the gateway's answer to ${path}`, { cause: parsed.error })
  }

  async #send(path: string, body: unknown, signal: AbortSignal): Promise<string> {
    const bytes = Buffer.from(JSON.stringify(body))
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const call = request(
      new URL(path, this.#url),
      {
        method: 'POST',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': bytes.length,
          accept: 'application/json',
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(callDeadlineMs)]),
      },
      resolve,
    )
    call.on('error', reject)
    call.end(bytes)
    let response: IncomingMessage
    try {
      response = await promise
    } catch (cause) {
      throw new Error(`Cannot reach the gateway at ${this.#url}`, { cause })
    }
    const text = await readAll(response)
    const status = response.statusCode ?? 0
    if (status < 200 || status > 299) throw refusal(status, path, text)
    return text
  }
}
