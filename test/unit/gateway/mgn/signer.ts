/**
 * Requests signed by the signer of AWS's own clients, and keys to sign with.
 * @module
 */
import { createHash, createHmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import type { SignedRequest } from '../../../../gateway/mgn/signed_request.ts'
import type { TestGateway } from '../support.ts'
import { createAccessKey } from '../../../../gateway/people/new_access_key.ts'

type NewKey = Parameters<typeof createAccessKey>[1]

/** SHA-256, as the signer asks for it. */
class Sha256 {
  readonly #hash
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const key = ArrayBuffer.isView(secret)
      ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
      : typeof secret === 'string'
        ? secret
        : secret && new Uint8Array(secret)
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key)
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()))
  }
  reset(): void {}
}

/** A key with its secret. */
export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
}

/** Makes a key. */
export async function newKey(gateway: TestGateway, wanted: Partial<NewKey> = {}): Promise<Credentials> {
  const key: NewKey = { name: 'ci', role: 'operator', scopes: ['*'], ...wanted }
  const { record, secretAccessKey } = await createAccessKey(gateway.services, key, 'admin')
  return { accessKeyId: record.accessKeyId, secretAccessKey }
}

/** What is to be signed. */
export interface Unsigned {
  method?: string
  /** As on the wire. */
  path?: string
  query?: Record<string, string | string[]>
  headers?: Record<string, string>
  body?: string | Uint8Array
}

/** How it is to be signed. */
export interface Signing {
  at: Date
  region?: string
  service?: string
  sessionToken?: string
  /** Whether the hash of the body goes into a header as well: yes, unless told otherwise. */
  applyChecksum?: boolean
  /** As a link that holds so long. */
  expiresSeconds?: number
}

/** As on the wire: letters, digits and `-_.~` as they are. */
export function encoded(text: string): string {
  const hex = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/[!'()*]/g, hex)
}

/** The request as it arrives when the client has signed it. */
export async function sign(
  credentials: Credentials,
  { method = 'POST', path = '/DescribeSourceServers', query = {}, headers = {}, body = '{}' }: Unsigned,
  {
    at,
    region = 'eu-central-1',
    service = 'mgn',
    sessionToken,
    applyChecksum = true,
    expiresSeconds,
  }: Signing,
): Promise<SignedRequest> {
  const signer = new SignatureV4({
    credentials: { ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) },
    region,
    service,
    sha256: Sha256,
    applyChecksum,
  })
  const unsigned = {
    method,
    protocol: 'http:',
    hostname: 'localhost',
    port: 8080,
    path,
    query,
    headers: { host: 'localhost:8080', ...headers },
    body,
  }
  const signed =
    expiresSeconds === undefined
      ? await signer.sign(unsigned, { signingDate: at })
      : await signer.presign(unsigned, { signingDate: at, expiresIn: expiresSeconds })
  const pairs = Object.entries(signed.query ?? {}).flatMap(([name, value]) =>
    [value ?? ''].flat().map((one) => `${encoded(name)}=${encoded(one)}`),
  )
  return {
    method,
    target: path + (pairs.length === 0 ? '' : `?${pairs.join('&')}`),
    headers: Object.entries(signed.headers),
    body: Buffer.from(body),
    address: '198.51.100.7',
    forwardedHosts: [],
  }
}

/** `request` with the value of one header changed. */
export function withHeader(
  request: SignedRequest,
  name: string,
  change: (value: string) => string,
): SignedRequest {
  const headers = request.headers.map(
    ([known, value]) => [known, known === name ? change(value) : value] as const,
  )
  return { ...request, headers }
}

/** The signature of a canonical request as the specification says it, step by step, without the SDK. */
export function signatureByHand(secretAccessKey: string, timestamp: string, canonical: string): string {
  const hmac = (key: string | Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()
  const date = timestamp.slice(0, 8)
  const hash = createHash('sha256').update(canonical).digest('hex')
  const text = `AWS4-HMAC-SHA256\n${timestamp}\n${date}/eu-central-1/mgn/aws4_request\n${hash}`
  const region = hmac(hmac(`AWS4${secretAccessKey}`, date), 'eu-central-1')
  return hmac(hmac(hmac(region, 'mgn'), 'aws4_request'), text).toString('hex')
}
