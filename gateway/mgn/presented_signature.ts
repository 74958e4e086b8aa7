/**
 * What a request says of its signature, in the Authorization header or in its query. Nothing of it is proven yet.
 * @module
 */
import type { Target } from './canonical_request.ts'
import type { RequestHeaders } from './request_headers.ts'
import { isAccessKeyId } from '../../domain/access_key.ts'
import { AccessError } from './access_error.ts'
import { splitPair } from './canonical_request.ts'
import { readSignedAt } from './signing_time.ts'

/** The only algorithm. */
export const algorithm = 'AWS4-HMAC-SHA256'
const terminator = 'aws4_request'
const serviceName = 'mgn'

/** A link that somebody signed for somebody else holds for a week at most. */
const maxExpiresSeconds = 604_800

/** A signature with what it is said to cover. */
export interface PresentedSignature {
  accessKeyId: string
  /** `YYYYMMDD`, as in the scope. */
  date: string
  region: string
  signedHeaders: string[]
  signature: string
  /** `YYYYMMDDTHHMMSSZ`. */
  timestamp: string
  signedAt: Date
  /** For a link: how long it holds. */
  expiresSeconds?: number
}

/** What {@link scopeOf} found. */
type Scope = Pick<PresentedSignature, 'accessKeyId' | 'date' | 'region'>

/**
 * The signature of a request.
 * @throws AccessError for none, one that lacks a part, and one that is meant for another service.
 */
export function presentedSignature(target: Target, headers: RequestHeaders): PresentedSignature {
  const authorization = headers.one('authorization')
  const isInQuery = target.query.some(([name]) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature')
  if (authorization !== undefined && isInQuery)
    throw incomplete('The request is signed in its query and in its Authorization header; sign it once')
  const presented = isInQuery
    ? fromQuery(target)
    : authorization === undefined
      ? undefined
      : fromHeader(authorization, headers)
  if (presented === undefined)
    throw new AccessError(
      'MissingAuthenticationTokenException',
      'Missing Authentication Token: sign the request with an access key; keys are made under Settings or with rehost keys create',
    )
  checkSigned(presented, headers)
  return presented
}

function incomplete(message: string): AccessError {
  return new AccessError('IncompleteSignatureException', message)
}

function fromHeader(authorization: string, headers: RequestHeaders): PresentedSignature {
  const [first = ''] = authorization.split(' ', 1)
  if (first !== algorithm) throw incomplete(`Unsupported AWS 'algorithm': '${first}', not '${algorithm}'`)
  const parts = new Map<string, string>()
  for (const part of authorization.slice(algorithm.length + 1).split(/, ?/)) {
    const [name, value] = splitPair(part)
    if (parts.has(name)) throw incomplete(`Authorization header has '${name}' more than once`)
    parts.set(name, value)
  }
  const take = (name: string): string => {
    const value = parts.get(name) ?? ''
    if (value === '') throw incomplete(`Authorization header requires '${name}' parameter`)
    parts.delete(name)
    return value
  }
  const credential = take('Credential')
  const signedHeaders = readSignedHeaders(take('SignedHeaders'))
  const signature = take('Signature')
  const [unknown] = parts.keys()
  if (unknown !== undefined) throw incomplete(`Authorization header has an unknown parameter '${unknown}'`)
  const dateHeader = headers.has('x-amz-date') ? 'x-amz-date' : 'date'
  const date = headers.one(dateHeader)
  if (date === undefined)
    throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header")
  if (!signedHeaders.includes(dateHeader))
    throw invalid(`'${dateHeader}' must be a 'SignedHeader' in the AWS Authorization`)
  return { ...scopeOf(credential), signedHeaders, signature, ...readSignedAt(date, dateHeader) }
}

function fromQuery(target: Target): PresentedSignature {
  const take = (name: string): string => {
    const [value = '', second] = target.query.filter(([other]) => other === name).map(([, text]) => text)
    if (second !== undefined) throw incomplete(`The query has '${name}' more than once`)
    if (value === '') throw incomplete(`AWS query-string parameters must include '${name}'`)
    return value
  }
  const found = take('X-Amz-Algorithm')
  if (found !== algorithm) throw incomplete(`Unsupported AWS 'algorithm': '${found}', not '${algorithm}'`)
  const expires = take('X-Amz-Expires')
  const expiresSeconds = /^\d{1,7}$/.test(expires) ? Number(expires) : 0
  if (expiresSeconds < 1 || expiresSeconds > maxExpiresSeconds)
    throw incomplete(
      `X-Amz-Expires must be a number of seconds from 1 to ${maxExpiresSeconds}, not '${expires}'`,
    )
  return {
    ...scopeOf(take('X-Amz-Credential')),
    signedHeaders: readSignedHeaders(take('X-Amz-SignedHeaders')),
    signature: take('X-Amz-Signature'),
    ...readSignedAt(take('X-Amz-Date'), 'X-Amz-Date'),
    expiresSeconds,
  }
}

function readSignedHeaders(text: string): string[] {
  const names = text.split(';')
  const isWritten = names.every((name) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
  if (!isWritten || new Set(names).size !== names.length)
    throw incomplete(`SignedHeaders must be lower-case names with ; between them, each once, not '${text}'`)
  return names
}

/** The parts of `key/date/region/service/aws4_request`. */
function scopeOf(credential: string): Scope {
  const parts = credential.split('/')
  const [accessKeyId = '', date = '', region = '', service = '', end = ''] = parts
  if (parts.length !== 5 || !isAccessKeyId(accessKeyId))
    throw incomplete(
      `Credential must be <access key id>/YYYYMMDD/<region>/${serviceName}/${terminator}, not '${credential}'`,
    )
  if (!/^[a-z0-9-]{1,64}$/.test(region))
    throw invalid(`Credential should be scoped to a valid region, not '${region}'`)
  if (service !== serviceName)
    throw invalid(`Credential should be scoped to correct service: '${serviceName}', not '${service}'`)
  if (end !== terminator)
    throw invalid(`Credential should be scoped with a valid terminator: '${terminator}', not '${end}'`)
  return { accessKeyId, date, region }
}

function invalid(message: string): AccessError {
  return new AccessError('InvalidSignatureException', message)
}

/** What a signature must cover at least, and that its parts agree. */
function checkSigned({ date, timestamp, signedHeaders }: PresentedSignature, headers: RequestHeaders): void {
  if (date !== timestamp.slice(0, 8))
    throw invalid(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date}' != '${timestamp.slice(0, 8)}', from '${timestamp}'`,
    )
  if (!signedHeaders.includes('host'))
    throw invalid("'Host' must be a 'SignedHeader' in the AWS Authorization")
  for (const name of signedHeaders)
    if (name !== 'host' && !headers.has(name))
      throw invalid(`The header '${name}' is signed and did not arrive; see whether a proxy removes it`)
}
