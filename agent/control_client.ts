/**
 * The agent's calls to the gateway: HTTPS with the pinned CA, this agent's certificate once it has one, and the proxy of the environment.
 * @module
 */
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { z } from 'zod'
import type {
  AgentDesired,
  AgentEnrol,
  AgentHeartbeat,
  AgentStart,
  AgentStarted,
  Enrolled,
  Renew,
} from '../wire/control_api.ts'
import {
  agentDesiredSchema,
  agentStartedSchema,
  enrolledSchema,
  gatewayServerName,
  problemSchema,
} from '../wire/control_api.ts'
import type { ProxySettings } from './proxy.ts'
import { ControlError, timedOut, unreachableGateway } from './control_error.ts'

/** What the agent asks of the gateway. */
export interface ControlClient {
  enrol(body: AgentEnrol): Promise<Enrolled>
  renew(body: Renew): Promise<Enrolled>
  start(body: AgentStart): Promise<AgentStarted>
  heartbeat(body: AgentHeartbeat): Promise<AgentDesired>
  uninstalled(): Promise<void>
  /** Milliseconds by which the gateway's clock is ahead of this one, as its last answer told; undefined before the first. */
  readonly clockSkewMs: number | undefined
}

/** How a client is made. */
export interface ControlClientOptions {
  gatewayUrl: string
  /** Only certificates of this CA are accepted. */
  caPem: string
  /** Asked before each call, because certificates are renewed; undefined before enrolment. */
  identity?: () => { certificatePem: string; keyPem: string } | undefined
  proxy?: ProxySettings
  nowMs: () => number
  signal?: AbortSignal
  /** Default: 20 seconds. */
  timeoutMs?: number
}

/** Longest answer that is read. */
const maxAnswerBytes = 1024 * 1024

/** A {@link ControlClient} over HTTPS. */
export class HttpsControlClient implements ControlClient {
  readonly #options: ControlClientOptions
  #agent: { agent: Agent; certificatePem: string | undefined } | undefined
  #clockSkewMs: number | undefined

  constructor(options: ControlClientOptions) {
    this.#options = options
  }

  get clockSkewMs(): number | undefined {
    return this.#clockSkewMs
  }

  enrol(body: AgentEnrol): Promise<Enrolled> {
    return this.#post('/agent/v1/enrol', body, enrolledSchema)
  }

  renew(body: Renew): Promise<Enrolled> {
    return this.#post('/agent/v1/renew', body, enrolledSchema)
  }

  start(body: AgentStart): Promise<AgentStarted> {
    return this.#post('/agent/v1/start', body, agentStartedSchema)
  }

  heartbeat(body: AgentHeartbeat): Promise<AgentDesired> {
    return this.#post('/agent/v1/heartbeat', body, agentDesiredSchema)
  }

  async uninstalled(): Promise<void> {
    await this.#send('/agent/v1/uninstalled', {})
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent?.agent.destroy()
    this.#agent = undefined
  }

  async #post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    const text = await this.#send(path, body)
    try {
      return schema.parse(JSON.parse(text))
    } catch (error) {
      throw new ControlError(
        `Cannot understand the gateway's answer to ${path}; agent and gateway may be of different versions: install the agent again`,
        undefined,
        { cause: error },
      )
    }
  }

  /** One call; answers the body of a 2xx answer. */
  async #send(path: string, body: unknown): Promise<string> {
    const answer = await this.#exchange(path, JSON.stringify(body))
    if (answer.status >= 200 && answer.status < 300) return answer.text
    throw new ControlError(
      `The gateway refused ${path}: ${problemText(answer.status, answer.text)}`,
      answer.status,
    )
  }

  #exchange(path: string, body: string): Promise<{ status: number; text: string }> {
    const { gatewayUrl, proxy, signal, timeoutMs = 20_000 } = this.#options
    const url = new URL(path, gatewayUrl)
    const limit = AbortSignal.timeout(timeoutMs)
    return new Promise((resolve, reject) => {
      const fail = (error: Error) =>
        reject(
          limit.aborted && signal?.aborted !== true
            ? unreachableGateway(gatewayUrl, proxy, timedOut(timeoutMs))
            : unreachableGateway(gatewayUrl, proxy, error),
        )
      const outgoing = request(
        url,
        {
          method: 'POST',
          agent: this.#connections(),
          signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        },
        (incoming) => {
          this.#readClock(incoming)
          readText(incoming).then((text) => resolve({ status: incoming.statusCode ?? 0, text }), fail)
        },
      )
      outgoing.on('error', fail)
      outgoing.end(body)
    })
  }

  /** Connections are kept open; a renewed certificate gets new ones. */
  #connections(): Agent {
    const { caPem, identity, proxy } = this.#options
    const own = identity?.()
    if (this.#agent !== undefined && this.#agent.certificatePem === own?.certificatePem)
      return this.#agent.agent
    this.#agent?.agent.destroy()
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 2,
      ca: caPem,
      minVersion: 'TLSv1.3',
      servername: gatewayServerName,
      ...(own === undefined ? {} : { cert: own.certificatePem, key: own.keyPem }),
      ...(proxy === undefined ? {} : { proxyEnv: { ...proxy } }),
    })
    this.#agent = { agent, certificatePem: own?.certificatePem }
    return agent
  }

  #readClock(incoming: IncomingMessage): void {
    const theirs = Date.parse(incoming.headers.date ?? '')
    if (Number.isFinite(theirs)) this.#clockSkewMs = theirs - this.#options.nowMs()
  }
}

/** The whole answer; longer ones are refused. */
async function readText(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > maxAnswerBytes) throw new Error(`The answer is longer than ${maxAnswerBytes} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/** A refusal in a sentence: the problem's own words where it has some. */
function problemText(status: number, text: string): string {
  try {
    const problem = problemSchema.parse(JSON.parse(text))
    return `${problem.detail || problem.title} (${status})`
  } catch {
    // No problem document: a proxy or another program answered.
    return `status ${status}${text === '' ? '' : `, ${text.slice(0, 200).replaceAll(/\s+/g, ' ')}`}`
  }
}
