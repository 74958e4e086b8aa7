/**
 * The replicator's identity: its private key, which never leaves this machine, and the certificate that the gateway gave for it.
 * @module
 */
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { z } from 'zod'
import { replicatorUri } from '../wire/control_api.ts'
import { JsonFile } from './checkpoint.ts'

/** Key and certificate. Secret. */
export const identitySchema = z.object({ certificatePem: z.string(), keyPem: z.string() })
export type Identity = z.infer<typeof identitySchema>

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** The identity's file, readable by its owner alone. */
export function identityFile(path: string): JsonFile<Identity> {
  return new JsonFile(
    path,
    identitySchema,
    'move it away, and have the replication server made anew so that it gets a new token',
  )
}

/** A new P-256 key and a request to certify it for this replication server. */
export async function newCertificateRequest(
  replicationServerId: string,
): Promise<{ csrPem: string; keyPem: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${replicationServerId}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: replicatorUri(replicationServerId) }]),
    ],
  })
  const der = await crypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { csrPem: csr.toString('pem'), keyPem: x509.PemConverter.encode(der, 'PRIVATE KEY') }
}

/** Until when, in milliseconds since 1970, the certificate is good. */
export function expiryTimeMs(identity: Identity): number {
  return new X509Certificate(identity.certificatePem).validToDate.getTime()
}

/** From when on, in milliseconds since 1970, the certificate should be renewed: half of its life. */
export function renewalTimeMs(identity: Identity): number {
  const { validFromDate, validToDate } = new X509Certificate(identity.certificatePem)
  return (validFromDate.getTime() + validToDate.getTime()) / 2
}
