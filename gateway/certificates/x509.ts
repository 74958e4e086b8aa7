/**
 * Making certificates: the authority's own and those it signs. P-256 with SHA-256 throughout.
 * @module
 */
import 'reflect-metadata'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { InvalidInputError } from '../../domain/errors.ts'

/** The one algorithm. */
export const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** Certificates begin this long before now, because clocks differ. */
export const backdateMs = 5 * 60_000

/** Key and certificate of the authority. */
export interface Authority {
  keys: CryptoKeyPair
  certificate: x509.X509Certificate
}

/** A new P-256 pair; `isExtractable` for keys that are kept in files. */
export function newKeyPair(isExtractable: boolean): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(keyAlgorithm, isExtractable, ['sign', 'verify'])
}

/** A serial of 126 random bits, positive and without a leading zero byte, so that every library prints it alike. */
function newSerial(random: (length: number) => Uint8Array): string {
  const bytes = random(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return Buffer.from(bytes).toString('hex').toUpperCase()
}

/** A self-signed authority certificate, valid for ten years. */
export function makeAuthorityCertificate(
  keys: CryptoKeyPair,
  now: Date,
  random: (length: number) => Uint8Array,
): Promise<x509.X509Certificate> {
  const notBefore = new Date(now.getTime() - backdateMs)
  const notAfter = new Date(notBefore)
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + 10)
  return subjectKeyIdentifier(keys.publicKey).then((keyIdentifier) =>
    x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(random),
      name: 'CN=Rehost embedded authority',
      notBefore,
      notAfter,
      keys,
      signingAlgorithm: keyAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        keyIdentifier,
      ],
    }),
  )
}

function subjectKeyIdentifier(key: CryptoKey): Promise<x509.SubjectKeyIdentifierExtension> {
  return x509.SubjectKeyIdentifierExtension.create(key)
}

/** What a leaf certificate says and may be used for. */
export interface LeafSpec {
  commonName: string
  uri: string
  /** DNS names or IP addresses. */
  hosts: readonly string[]
  isServer: boolean
  isClient: boolean
  validityMs: number
}

/** A certificate for `publicKey`, signed by `authority`. */
export async function signLeaf(
  authority: Authority,
  publicKey: CryptoKey,
  spec: LeafSpec,
  now: Date,
  random: (length: number) => Uint8Array,
): Promise<x509.X509Certificate> {
  const usages = [
    ...(spec.isServer ? [x509.ExtendedKeyUsage.serverAuth] : []),
    ...(spec.isClient ? [x509.ExtendedKeyUsage.clientAuth] : []),
  ]
  const names: x509.JsonGeneralNames = [
    { type: 'url', value: spec.uri },
    ...spec.hosts.map((host) => ({
      type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
      value: host,
    })),
  ]
  return x509.X509CertificateGenerator.create({
    serialNumber: newSerial(random),
    subject: [{ CN: [spec.commonName] }],
    issuer: authority.certificate.subject,
    notBefore: new Date(now.getTime() - backdateMs),
    notAfter: new Date(now.getTime() + spec.validityMs),
    publicKey,
    signingKey: authority.keys.privateKey,
    signingAlgorithm: keyAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages, false),
      new x509.SubjectAlternativeNameExtension(names, false),
      await subjectKeyIdentifier(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate, false),
    ],
  })
}

/**
 * The public key of a signing request, once its signature was checked: whoever sent it holds the private key.
 * @throws InvalidInputError when it cannot be read, the signature is wrong, or the key is not P-256.
 */
export async function checkedRequestKey(csrPem: string): Promise<CryptoKey> {
  const request = readRequest(csrPem)
  const { algorithm } = request.publicKey
  if (algorithm.name !== 'ECDSA' || !('namedCurve' in algorithm) || algorithm.namedCurve !== 'P-256') {
    const seen =
      'namedCurve' in algorithm ? `${algorithm.name} ${String(algorithm.namedCurve)}` : algorithm.name
    throw new InvalidInputError(
      'csrPem',
      `Cannot sign a certificate request with a ${seen} key; make a P-256 key`,
    )
  }
  if (!(await request.verify())) {
    throw new InvalidInputError(
      'csrPem',
      'Cannot sign the certificate request: its signature does not fit its key',
    )
  }
  return request.publicKey.export(keyAlgorithm, ['verify'])
}

function readRequest(csrPem: string): x509.Pkcs10CertificateRequest {
  try {
    return new x509.Pkcs10CertificateRequest(csrPem)
  } catch (error) {
    throw new InvalidInputError('csrPem', 'Cannot read the certificate request; PEM of PKCS #10 is wanted', {
      cause: error,
    })
  }
}

/** SHA-256 of a public key's SPKI in base64, as `curl --pinnedpubkey` takes it after `sha256//`. */
export async function publicKeyPin(key: CryptoKey): Promise<string> {
  const spki = await crypto.subtle.exportKey('spki', key)
  return Buffer.from(await crypto.subtle.digest('SHA-256', spki)).toString('base64')
}

/** A private key as PKCS #8 PEM. */
export async function privateKeyPem(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(
    await crypto.subtle.exportKey('pkcs8', key),
    x509.PemConverter.PrivateKeyTag,
  )
}

/** A key pair from PKCS #8 PEM. @throws Error when it is no P-256 key. */
export async function readKeyPair(pem: string): Promise<CryptoKeyPair> {
  const der = x509.PemConverter.decodeFirst(pem)
  const privateKey = await crypto.subtle.importKey('pkcs8', der, keyAlgorithm, true, ['sign'])
  const { d: _secret, key_ops: _operations, ...open } = await crypto.subtle.exportKey('jwk', privateKey)
  const publicKey = await crypto.subtle.importKey('jwk', open, keyAlgorithm, true, ['verify'])
  return { privateKey, publicKey }
}

/** A certificate from PEM. */
export function readCertificate(pem: string): x509.X509Certificate {
  return new x509.X509Certificate(pem)
}
