/**
 * Why a call to the gateway failed, and what to do about it.
 * @module
 */
import type { ProxySettings } from './proxy.ts'
import { proxyName } from './proxy.ts'

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

/** No answer came: the place, the way there, and what the error means. */
export function unreachableGateway(
  gatewayUrl: string,
  proxy: ProxySettings | undefined,
  error: Error,
): ControlError {
  const { hostname, port } = new URL(gatewayUrl)
  const name = proxyName(proxy ?? {})
  const code = 'code' in error ? String(error.code) : ''
  const advice = connectionAdvice[code]
  const place = `${hostname} port ${port || '443'}`
  const way = name === undefined ? '' : ` (by way of the proxy ${name}, unless NO_PROXY names the gateway)`
  return new ControlError(
    `Cannot reach the gateway at ${place}${way}${advice === undefined ? '' : `: ${advice}`}`,
    undefined,
    { cause: error },
  )
}

/** What stands for an answer that did not come in time. */
export function timedOut(timeoutMs: number): Error {
  return Object.assign(new Error(`No answer within ${timeoutMs / 1000} s`), { code: 'ETIMEDOUT' })
}
