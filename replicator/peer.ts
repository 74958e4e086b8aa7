/**
 * Who is at the other end: what a client's certificate says, and why it may be refused. Decided before a byte of the protocol is read.
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { alpnProtocol } from '../wire/tls.ts'
import { WireError } from '../wire/wire_error.ts'

/** An agent that the CA vouches for. */
export interface Peer {
  sourceServerId: string
  /** As {@link normalSerial} writes it. */
  serial: string
}

/** The only kind of name that an agent's certificate may carry: exactly one URI, alone. */
const onlyAgentUri = /^URI:rehost:\/\/source-server\/([0-9a-zA-Z-]{3,64})$/

const installAgain = 'install the agent again with the command from Add server in the dashboard'

const foreign = `another authority issued it, not this Rehost; ${installAgain}`

const expiredCode = 'CERT_HAS_EXPIRED'

const reasons: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: 'it is not valid yet; check the clocks of both machines',
  DEPTH_ZERO_SELF_SIGNED_CERT: `it is self-signed; ${installAgain}`,
  INVALID_PURPOSE: `it is not meant for clients; ${installAgain}`,
  UNABLE_TO_GET_ISSUER_CERT: foreign,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: foreign,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: foreign,
  SELF_SIGNED_CERT_IN_CHAIN: foreign,
  CERT_SIGNATURE_FAILURE: `its signature is wrong: an authority of the same name, but not this Rehost's, issued it; ${installAgain}`,
}

/** Serial numbers as they are compared: lower case, without leading zeros. */
export function normalSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+(?=.)/, '')
}

function refuse(message: string, expected?: string, actual?: string): WireError {
  return new WireError('NOT_ASSIGNED', message, {
    retryable: false,
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
  })
}

/**
 * The agent behind `socket`, whose handshake is over.
 * @throws WireError NOT_ASSIGNED, not retryable, with what is wrong with its certificate.
 */
export function identifyPeer(socket: TLSSocket): Peer {
  if (socket.alpnProtocol !== alpnProtocol) {
    const actual =
      socket.alpnProtocol === false || socket.alpnProtocol === null ? 'none' : socket.alpnProtocol
    throw refuse('Cannot speak with a client of another protocol', alpnProtocol, actual)
  }
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) throw refuse('Cannot accept a client without a certificate')
  if (!socket.authorized) {
    const code = String(socket.authorizationError)
    if (code === expiredCode) {
      throw refuse(
        `Cannot accept the certificate: it expired at ${certificate.validToDate.toISOString()}. It is renewed at half its life, so ` +
          `the agent was off or cut off from the gateway for long; ${installAgain}`,
      )
    }
    throw refuse(`Cannot accept the certificate: ${reasons[code] ?? code}`)
  }
  const names = certificate.subjectAltName ?? ''
  const sourceServerId = onlyAgentUri.exec(names)?.[1]
  if (sourceServerId === undefined) {
    throw refuse(
      "Cannot accept the certificate: it is not an agent's",
      'one URI SAN of a source server',
      names,
    )
  }
  return { sourceServerId, serial: normalSerial(certificate.serialNumber) }
}

/**
 * The agent behind `socket` whose certificate is the CA's own and has only expired; undefined of any other. What it says is not to be
 * believed in anything but that it was there.
 */
export function expiredPeer(socket: TLSSocket, caPem: string): Peer | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined || String(socket.authorizationError) !== expiredCode) return undefined
  // Of several faults only the last is told, so the signature is checked once more.
  const authority = new X509Certificate(caPem)
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) return undefined
  const sourceServerId = onlyAgentUri.exec(certificate.subjectAltName ?? '')?.[1]
  if (sourceServerId === undefined) return undefined
  return { sourceServerId, serial: normalSerial(certificate.serialNumber) }
}
