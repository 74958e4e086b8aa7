/**
 * The TLS connection to a replication server: this agent's certificate, the pinned CA, and only the very server that the gateway named.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { checkServerIdentity, connect } from 'node:tls'
import type { CipherSuite } from './cipher_choice.ts'
import { replicatorServerName, replicatorUri } from '../../wire/control_api.ts'
import { alpnProtocol, tlsVersionOptions } from '../../wire/tls.ts'
import { LinkError } from './link_error.ts'

/** How long connecting and shaking hands may take. */
const connectTimeoutMs = 10_000

/** Whom to connect to, and as whom. */
export interface LinkTarget {
  replicationServerId: string
  address: string
  port: number
  caPem: string
  certificatePem: string
  keyPem: string
  /** The only one offered; default: all that the platform has, in its order. */
  cipherSuite?: CipherSuite
}

/** How a connection is made and its far end verified: {@link connectLink}, but for tests of both ends without a network. */
export type ConnectLink = (target: LinkTarget, signal: AbortSignal) => Promise<Duplex>

/** The URI names in a certificate, out of `DNS:a, URI:b` as the platform writes it. */
export function uriNames(subjectAltName: string): string[] {
  return subjectAltName
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice(4))
}

/** An error when the certificate is another replication server's. */
export function checkReplicatorUri(
  subjectAltName: string | undefined,
  replicationServerId: string,
): Error | undefined {
  const expected = replicatorUri(replicationServerId)
  const names = uriNames(subjectAltName ?? '')
  if (names.length === 1 && names[0] === expected) return undefined
  return new Error(
    `Cannot trust the replication server: its certificate names ${names.join(', ') || 'nobody'} instead of ${expected}`,
  )
}

/** What a failure to connect means, for the operator. */
function explain(target: LinkTarget, error: Error): Error {
  const place = `${target.address} port ${target.port}`
  const code = 'code' in error ? String(error.code) : ''
  const advice: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there; check that the replication server runs',
    ETIMEDOUT: 'no answer; check that firewalls let TCP through',
    EHOSTUNREACH: 'no route; check the network',
    ENETUNREACH: 'no route; check the network',
    ENOTFOUND: 'the name cannot be resolved; check DNS',
    CERT_HAS_EXPIRED: 'its certificate has expired; check the clocks of both machines',
    CERT_NOT_YET_VALID: 'its certificate is not valid yet; check the clock of this machine',
  }
  return new LinkError(
    `Cannot connect to the replication server at ${place}${code in advice ? ` (${advice[code]})` : ''}`,
    { cause: error },
  )
}

/**
 * Connects and verifies the far end: chain to the pinned CA, server name, URI name, protocol name.
 * @throws LinkError with place and cause.
 */
export function connectLink(target: LinkTarget, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...tlsVersionOptions,
      host: target.address,
      port: target.port,
      ca: target.caPem,
      cert: target.certificatePem,
      key: target.keyPem,
      ...(target.cipherSuite === undefined ? {} : { ciphers: target.cipherSuite }),
      servername: replicatorServerName,
      rejectUnauthorized: true,
      checkServerIdentity: (name, certificate) =>
        checkServerIdentity(name, certificate) ??
        checkReplicatorUri(certificate.subjectaltname, target.replicationServerId),
    })
    socket.setNoDelay(true)
    const timer = setTimeout(() => {
      const error: Error & { code?: string } = new Error(`No answer within ${connectTimeoutMs / 1000} s`)
      error.code = 'ETIMEDOUT'
      socket.destroy(error)
    }, connectTimeoutMs)
    const abort = () => socket.destroy(new Error('Stopped while connecting'))
    signal.addEventListener('abort', abort, { once: true })
    const finish = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.removeListener('error', fail)
      socket.removeListener('close', closed)
    }
    const fail = (error: Error) => {
      finish()
      // A late error of a socket that is given up must not be the process's end.
      socket.on('error', () => undefined)
      socket.destroy()
      reject(explain(target, error))
    }
    const closed = () => fail(new Error('The far end closed the connection during the handshake'))
    socket.once('error', fail)
    socket.once('close', closed)
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== alpnProtocol) {
        fail(new Error(`The far end speaks ${String(socket.alpnProtocol)} instead of ${alpnProtocol}`))
        return
      }
      finish()
      resolve(socket)
    })
    if (signal.aborted) abort()
  })
}
