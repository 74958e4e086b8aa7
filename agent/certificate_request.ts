/**
 * A fresh key and the request for its certificate (PKCS #10), written out byte by byte: the agent asks for one kind of certificate only, and a
 * library for all kinds would cost it more at every start than everything else together.
 * @module
 */
import { generateKeyPair, sign } from 'node:crypto'
import { promisify } from 'node:util'

/** Tags of ASN.1 in DER. */
const tags = {
  integer: 0x02,
  bitString: 0x03,
  objectId: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  attributes: 0xa0,
}

/** `id-at-commonName`, 2.5.4.3. */
const commonName = Buffer.from('550403', 'hex')
/** `ecdsa-with-SHA256`, 1.2.840.10045.4.3.2. */
const ecdsaWithSha256 = Buffer.from('2a8648ce3d040302', 'hex')

/** One value with its tag and length. */
function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >>> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...bytes]), content])
}

/** Text between the lines that name it. */
function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}

const generate = promisify(generateKeyPair)
const signAsync = promisify<string, Uint8Array, string, Buffer>(sign)

/** A new P-256 key and a request signed with it. The names in the certificate are the gateway's to choose. */
export async function newKeyAndRequest(): Promise<{ keyPem: string; csrPem: string }> {
  const { publicKey, privateKey: keyPem } = await generate('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const name = der(
    tags.sequence,
    der(
      tags.set,
      der(tags.sequence, der(tags.objectId, commonName), der(tags.utf8, Buffer.from('rehost-agent'))),
    ),
  )
  const request = der(tags.sequence, der(tags.integer, Buffer.of(0)), name, publicKey, der(tags.attributes))
  const signature = await signAsync('sha256', request, keyPem)
  const algorithm = der(tags.sequence, der(tags.objectId, ecdsaWithSha256))
  const signed = der(tags.sequence, request, algorithm, der(tags.bitString, Buffer.of(0), signature))
  return { keyPem, csrPem: pem('CERTIFICATE REQUEST', signed) }
}
