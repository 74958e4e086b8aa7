/**
 * Who is at the other end: what a client's certificate says, and why it may be refused. Decided before a byte of the protocol is read.
 * @module
 */
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

const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired; the agent must enrol again',
  CERT_NOT_YET_VALID: 'it is not valid yet; check the clocks of both machines',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  INVALID_PURPOSE: 'it is not meant for clients',
  UNABLE_TO_GET_ISSUER_CERT: 'another authority issued it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'another authority issued it',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'another authority issued it',
  SELF_SIGNED_CERT_IN_CHAIN: 'another authority issued it',
  CERT_SIGNATURE_FAILURE: 'its signature is wrong',
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
