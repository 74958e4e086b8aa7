/**
 * The canonical form of a request in AWS Signature Version 4, which sender and receiver each make for themselves.
 *
 * It is made of what the request means to those who handle it later, so nothing can be changed that they would notice and the signature not.
 * @module
 */
import { createHash } from 'node:crypto'
import type { RequestHeaders } from './request_headers.ts'
import { AccessError } from './access_error.ts'

/** A request's target in its parts. */
export interface Target {
  /** As in the request line. */
  path: string
  /** Names and values, decoded, in the order of the request line. */
  query: readonly (readonly [name: string, value: string])[]
}

/** SHA-256 in hexadecimal. */
export function sha256Of(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

/** Reads a target, also one that names scheme and host. @throws AccessError for one that is no path, and a query that is no text. */
export function readTarget(target: string): Target {
  const own = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*\/?/i, '/')
  const mark = own.indexOf('?')
  const path = mark === -1 ? own : own.slice(0, mark)
  const query = mark === -1 ? '' : own.slice(mark + 1)
  // Without the slash it could be signed as one path and handled as another.
  if (!path.startsWith('/'))
    throw new AccessError(
      'IncompleteSignatureException',
      `Cannot read the path of “${target}”: it begins with /`,
    )
  return { path, query: query.split('&').filter(Boolean).map(readPair) }
}

/** Name and value of a pair; without a = it has no value. */
export function splitPair(pair: string): [name: string, value: string] {
  const mark = pair.indexOf('=')
  return mark === -1 ? [pair, ''] : [pair.slice(0, mark), pair.slice(mark + 1)]
}

function readPair(pair: string): [string, string] {
  const [name, value] = splitPair(pair)
  // As whoever reads the query later does: + is a space there. Senders sign a plus as %2B and a space as %20.
  const decode = (text: string) => decodeURIComponent(text.replaceAll('+', ' '))
  try {
    return [decode(name), decode(value)]
  } catch {
    throw new AccessError(
      'IncompleteSignatureException',
      `Cannot read “${pair}” in the query: it is not encoded well`,
    )
  }
}

/** Everything but letters, digits and `-_.~` as the bytes of its UTF-8. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** The path without `.`, `..` and empty parts, encoded once more than on the wire: for all services but S3 a % is signed as %25. */
export function canonicalPath(path: string): string {
  const kept: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') kept.pop()
    else if (part !== '' && part !== '.') kept.push(encode(part))
  }
  return `/${kept.join('/')}${kept.length > 0 && path.endsWith('/') ? '/' : ''}`
}

/** Names and values encoded, by name, then by value. */
export function canonicalQuery(query: Target['query']): string {
  return query
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([one, first], [other, second]) => compare(one, other) || compare(first, second))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** By code unit: what is encoded is ASCII. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

/** What is signed of a request. `host` takes the place of the header, which a proxy may have changed. */
export function canonicalRequest(parts: {
  method: string
  target: Target
  headers: RequestHeaders
  signedHeaders: readonly string[]
  host: string
  payloadSha256: string
}): string {
  const { method, target, headers, signedHeaders, host, payloadSha256 } = parts
  const lines = signedHeaders.map((name) => `${name}:${name === 'host' ? host : headers.canonical(name)}\n`)
  return [
    method,
    canonicalPath(target.path),
    canonicalQuery(target.query.filter(([name]) => name !== 'X-Amz-Signature')),
    lines.join(''),
    signedHeaders.join(';'),
    payloadSha256,
  ].join('\n')
}
