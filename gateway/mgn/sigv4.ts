/**
 * AWS Signature Version 4: who signed a request, with which access key, and that nothing of it was changed since.
 * @module
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Services } from '../services.ts'
import type { Caller } from './caller.ts'
import type { Target } from './canonical_request.ts'
import type { PresentedSignature } from './presented_signature.ts'
import type { SignedRequest } from './signed_request.ts'
import { isExpired } from '../../domain/access_key.ts'
import { noteAccessKeyUse } from '../people/access_keys.ts'
import { limitKey } from '../request.ts'
import { AccessError } from './access_error.ts'
import { callerOf } from './caller.ts'
import { canonicalRequest, readTarget, sha256Of } from './canonical_request.ts'
import { algorithm, presentedSignature } from './presented_signature.ts'
import { RequestHeaders } from './request_headers.ts'
import { checkSigningTime } from './signing_time.ts'

/** What checking a signature needs. */
export type Verifier = Pick<Services, 'store' | 'rateLimits' | 'clock' | 'secretBox' | 'log'>

/** Where a request may carry a session's token and the hash of its body: in a header, or in the query of a link. */
const tokenNames = { header: 'x-amz-security-token', query: 'X-Amz-Security-Token' }
const hashNames = { header: 'x-amz-content-sha256', query: 'X-Amz-Content-Sha256' }

/**
 * The caller who signed `request`. It changes nothing but the note of when the key was used last.
 * @throws AccessError saying why the caller is not let in; Error when the key's secret cannot be opened here.
 */
export async function verifyRequest(services: Verifier, request: SignedRequest): Promise<Caller> {
  const target = readTarget(request.target)
  const headers = new RequestHeaders(request.headers)
  const presented = presentedSignature(target, headers)
  const now = services.clock()
  checkSigningTime(presented.signedAt, presented.expiresSeconds, now)
  const payloadSha256 = sha256Of(request.body)
  for (const told of extras(hashNames, target, headers)) {
    if (told === payloadSha256) continue
    throw new AccessError(
      'InvalidSignatureException',
      `The provided 'x-amz-content-sha256' header does not match what was computed: '${told}' != '${payloadSha256}'; the body must be signed`,
    )
  }
  if (extras(tokenNames, target, headers).some((token) => token !== ''))
    throw new AccessError(
      'UnrecognizedClientException',
      'The security token included in the request is invalid: access keys of Rehost have none; unset AWS_SESSION_TOKEN',
    )
  const key = (await services.store.get('accessKey', { id: presented.accessKeyId }))?.value
  if (key === undefined || key.status !== 'ACTIVE') {
    throw guessed(
      services,
      request.address,
      'UnrecognizedClientException',
      `The security token included in the request is invalid: there is no active access key ${presented.accessKeyId}`,
    )
  }
  if (!isSignedBy(services.secretBox.unseal(key.sealedSecret, key.accessKeyId))) {
    throw guessed(
      services,
      request.address,
      'InvalidSignatureException',
      `The request signature we calculated does not match the signature you provided. Check the secret of ${key.accessKeyId}, and that no proxy changes the request: it arrived for host '${headers.one('host') ?? ''}'`,
    )
  }
  // Only whoever has the secret is told more of the key.
  if (isExpired(key, now))
    throw new AccessError(
      'ExpiredTokenException',
      `The access key “${key.name}” (${key.accessKeyId}) expired at ${key.expiresAt}; make another under Settings`,
    )
  // The request does not wait for this, and it never fails.
  void noteAccessKeyUse(services, key)
  return callerOf(key)

  function isSignedBy(secret: string): boolean {
    const signingKey = signingKeyOf(secret, presented)
    const hosts = [headers.one('host') ?? '', ...request.forwardedHosts]
    return hosts.some((host) => {
      const { signedHeaders } = presented
      const { method } = request
      const canonical = canonicalRequest({ method, target, headers, signedHeaders, host, payloadSha256 })
      return isSame(presented.signature, signatureOf(signingKey, presented, canonical))
    })
  }
}

/** What a request carries under either name. */
function extras(names: { header: string; query: string }, target: Target, headers: RequestHeaders): string[] {
  const inHeader = headers.one(names.header)
  const inQuery = target.query.filter(([name]) => name === names.query).map(([, value]) => value)
  return inHeader === undefined ? inQuery : [inHeader, ...inQuery]
}

/** A refusal of what may be a guess: too many from one address, and the address has to wait. */
function guessed(
  { rateLimits }: Verifier,
  address: string,
  shape: 'UnrecognizedClientException' | 'InvalidSignatureException',
  message: string,
): AccessError {
  const limiter = rateLimits.api
  const wait = limiter.waitSeconds(limitKey(address))
  if (wait > 0)
    return new AccessError(
      'ThrottlingException',
      `Too many wrong signatures from ${address}; try again in ${wait} s`,
      { 'Retry-After': String(wait) },
    )
  limiter.fail(limitKey(address))
  return new AccessError(shape, message)
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function scopeOf({ date, region }: PresentedSignature): string {
  return `${date}/${region}/mgn/aws4_request`
}

function signingKeyOf(secret: string, presented: PresentedSignature): Buffer {
  return scopeOf(presented)
    .split('/')
    .reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`))
}

function signatureOf(signingKey: Buffer, presented: PresentedSignature, canonical: string): string {
  const lines = [algorithm, presented.timestamp, scopeOf(presented), sha256Of(canonical)]
  return hmac(signingKey, lines.join('\n')).toString('hex')
}

/** Whether the texts are the same; takes as long either way. */
function isSame(given: string, expected: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}
