/**
 * What both ends of the replication port ask of TLS: version 1.3 and nothing older, and the protocol's own ALPN name.
 * @module
 */

/** Name in ALPN; its number changes only with a change that cannot be told apart in HELLO. */
export const alpnProtocol = 'rehost/1'

/** For `tls.createServer` and `tls.connect` alike; certificates, CA and server name are added by each end. */
export const tlsVersionOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ALPNProtocols: [alpnProtocol],
} as const
