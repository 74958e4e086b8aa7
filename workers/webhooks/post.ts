/**
 * One POST to somebody else's server: to the address that was looked at and to no other, with an end in sight whatever the other side does.
 * @module
 */
import { lookup } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { AllowedNetworks } from './address_guard.ts'
import { errorMessage } from '../../domain/errors.ts'
import { refusalOf } from './address_guard.ts'

/** What is sent, and with what limits. */
export interface PostRequest {
  url: string
  headers: Record<string, string>
  body: string
  /** For all of it, from the look-up of the name to the last byte of the answer. */
  timeoutMs: number
  /** Stops it before that. */
  signal: AbortSignal
  allowed: AllowedNetworks
}

/** What came of it. Without `problem` the answer was whole and said that all is well. */
export interface PostResult {
  statusCode?: number
  responseBegin?: string
  problem?: string
}

/** Finds the addresses of a name. */
export type Resolve = (hostname: string) => Promise<{ address: string; family: number }[]>

/** Sends. Never throws: what goes wrong is in the result. */
export type Post = (request: PostRequest) => Promise<PostResult>

/** Of an answer that is longer the rest is not read; its status counts. */
const maxResponseBytes = 64 * 1024

/** So much of an answer is kept. */
const keptCharacters = 512

/** @param resolve the system's, outside tests. */
export function createPost(resolve: Resolve = (hostname) => lookup(hostname, { all: true })): Post {
  return async function post(request) {
    const result: PostResult = {}
    const late = new AbortController()
    const timer = setTimeout(
      () => late.abort(new Error(`No whole answer within ${request.timeoutMs / 1000} s`)),
      request.timeoutMs,
    )
    const signal = AbortSignal.any([late.signal, request.signal])
    try {
      const url = new URL(request.url)
      const address = await pinnedAddress(url, request.allowed, resolve, signal)
      await exchange(url, address, request, result, signal)
    } catch (error) {
      result.problem = errorMessage(signal.aborted ? signal.reason : error)
    } finally {
      clearTimeout(timer)
    }
    return result
  }
}

/** The one address that is connected to. A name with an address that is refused is refused as a whole: it may mean that one tomorrow. */
async function pinnedAddress(
  url: URL,
  allowed: AllowedNetworks,
  resolve: Resolve,
  signal: AbortSignal,
): Promise<{ address: string; family: number }> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const family = isIP(host)
  const addresses = family === 0 ? await unlessLate(resolve(host), signal) : [{ address: host, family }]
  for (const { address } of addresses) {
    const refusal = refusalOf(address, allowed)
    if (refusal !== undefined) throw new Error(`Nothing was sent to ${url.host}: ${refusal}`)
  }
  const [first] = addresses
  if (first === undefined) throw new Error(`${host} has no address`)
  return first
}

/** The look-up of a name cannot be stopped; waiting for it can. */
function unlessLate<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const late = new Promise<never>((_, fail) => {
    signal.addEventListener('abort', () => fail(signal.reason as Error), { once: true })
  })
  return Promise.race([work, late])
}

/** Sends and reads; what is known of the answer is in `result` even when the end of it fails. */
function exchange(
  url: URL,
  { address, family }: { address: string; family: number },
  { headers, body }: PostRequest,
  result: PostResult,
  signal: AbortSignal,
): Promise<void> {
  const isTls = url.protocol === 'https:'
  // An agent of its own: no connection is used twice, and no proxy of the environment comes in between.
  const agent = isTls ? new https.Agent({ keepAlive: false }) : new http.Agent({ keepAlive: false })
  return new Promise((done, fail) => {
    const request = (isTls ? https : http).request(
      url,
      {
        method: 'POST',
        agent,
        signal,
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' },
        // The name stays what the certificate is checked against; the address is the one that was looked at.
        lookup: (_hostname, options, answer) => {
          if (options.all === true) answer(null, [{ address, family }])
          else answer(null, address, family)
        },
      },
      (response) => {
        result.statusCode = response.statusCode ?? 0
        let begin = ''
        let bytes = 0
        const end = (): void => {
          result.responseBegin = begin
          const problem = problemOf(result.statusCode ?? 0, response.headers.location)
          if (problem !== undefined) result.problem = problem
          done()
        }
        response.on('data', (piece: Buffer) => {
          bytes += piece.length
          if (begin.length < keptCharacters) begin = (begin + piece.toString('utf8')).slice(0, keptCharacters)
          if (bytes <= maxResponseBytes) return
          end()
          request.destroy()
        })
        response.on('end', end)
        // Closed half-way too: nobody knows whether the receiver has done its work.
        response.on('error', fail)
      },
    )
    request.on('error', fail)
    request.end(body)
  })
}

/** Why a whole answer does not count as taken. */
function problemOf(statusCode: number, location: string | undefined): string | undefined {
  if (statusCode >= 200 && statusCode < 300) return undefined
  // The receiver chose the place: as a URL's characters nothing of it controls the terminal on which it is shown.
  if (statusCode >= 300 && statusCode < 400)
    return `Answered ${statusCode} to ${encodeURI(location?.slice(0, 200) ?? 'nowhere')}: redirects are not followed; give the endpoint its real URL`
  return `Answered ${statusCode}`
}
