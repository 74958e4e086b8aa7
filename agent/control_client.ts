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
import { proxyName } from './proxy.ts'

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

/** A call failed. `status` is the gateway's answer, undefined when there was none. */
export class ControlError extends Error {
  override name = 'ControlError'
  readonly status: number | undefined

  constructor(message: string, status: number | undefined, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }

  /** The gateway has understood and refused: the same call again is refused again. */
  get isRefusal(): boolean {
    return (
      this.status !== undefined &&
      this.status >= 400 &&
      this.status < 500 &&
      this.status !== 408 &&
      this.status !== 429
    )
  }
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

/** What error codes of the connection mean, and what to do. */
const connectionAdvice: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there; check that Rehost runs and that the address and port are right',
  ECONNRESET: 'the connection was cut; check proxies and firewalls in between',
  ETIMEDOUT: 'there is no answer; check that firewalls let TCP through to this port',
  EHOSTUNREACH: 'there is no route to it; check the network',
  ENETUNREACH: 'there is no route to it; check the network',
  ENOTFOUND: 'its name cannot be resolved; check DNS',
  EAI_AGAIN: 'its name cannot be resolved now; check DNS',
  CERT_HAS_EXPIRED: 'its certificate has expired; check the clock of this machine and of the Rehost server',
  CERT_NOT_YET_VALID:
    'its certificate is not valid yet; the clock of this machine is behind: set it right, for example with chrony',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'its certificate is not from the CA that this agent trusts; something else answers there',
  SELF_SIGNED_CERT_IN_CHAIN:
    'its certificate is not from the CA that this agent trusts; something else answers there',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate is not from the CA that this agent trusts; something else answers there',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate is not from the CA that this agent trusts; something else answers there',
  CERT_SIGNATURE_FAILURE:
    'its certificate is not from the CA that this agent trusts; something else answers there',
  EPROTO: 'what answers there does not speak TLS 1.3; check the address and the port',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is not a gateway of Rehost',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    'the certificate of this agent has expired; install it again with a new command from the add-server page',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    'the certificate of this agent is from another Rehost; install it again with a new command from the add-server page',
}

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
    const { gatewayUrl, signal, timeoutMs = 20_000 } = this.#options
    const url = new URL(path, gatewayUrl)
    const limit = AbortSignal.timeout(timeoutMs)
    return new Promise((resolve, reject) => {
      const fail = (error: Error) =>
        reject(
          limit.aborted && signal?.aborted !== true
            ? this.#explain(timedOut(timeoutMs))
            : this.#explain(error),
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

  #explain(error: Error): ControlError {
    const { gatewayUrl, proxy = {} } = this.#options
    const { hostname, port } = new URL(gatewayUrl)
    const name = proxyName(proxy)
    const code = 'code' in error ? String(error.code) : ''
    const advice = connectionAdvice[code]
    const place = `${hostname} port ${port || '443'}`
    const way = name === undefined ? '' : ` (by way of the proxy ${name}, unless NO_PROXY names the gateway)`
    return new ControlError(
      `Cannot reach the gateway at ${place}${way}${advice === undefined ? '' : `: ${advice}`}`,
      undefined,
      {
        cause: error,
      },
    )
  }
}

function timedOut(timeoutMs: number): Error {
  return Object.assign(new Error(`No answer within ${timeoutMs / 1000} s`), { code: 'ETIMEDOUT' })
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
