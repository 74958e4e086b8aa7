/**
 * A client of the service's own API, for the command line and the demonstration.
 * @module
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { dashboardUrl } from './reach.ts'
import { remark } from './terminal.ts'

/** Raised when the service refuses: its own sentence, and the status. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  /** When the service says that it may be asked again. */
  readonly retryAfterMs: number | undefined
  constructor(status: number, detail: string, retryAfterMs?: number) {
    super(detail)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** How sockets say that the other side has gone away in the middle. */
const lossCodes = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']

/** Raised when no answer comes. */
export class UnreachableError extends Error {
  override name = 'UnreachableError'
  /** The connection broke when the request was on its way: it may have been done. */
  readonly isLost: boolean
  constructor({ baseUrl, isGuessed }: ApiAccess, cause: unknown) {
    const elsewhere =
      isGuessed === true ? ' Where it has another port, set REHOST_HTTP_PORT as for the service' : ''
    super(`Cannot reach Rehost at ${baseUrl}: is rehost up running there?${elsewhere}`, { cause })
    const reason = cause instanceof Error ? cause.cause : undefined
    const code = reason instanceof Error && 'code' in reason ? String(reason.code) : ''
    this.isLost = lossCodes.includes(code)
  }
}

/** Where the service is and how to prove who asks. */
export interface ApiAccess {
  baseUrl: string
  token: string
  /** Nobody said on which port the service is: it is the usual one. */
  isGuessed?: true
}

/** Requests that take longer than this have failed. */
const requestTimeoutMs = 30_000
const askAgainMs = 500

/**
 * For so long a request is sent again whose answer was lost, or whose answer was to come again: a little longer than a gateway that has died
 * holds the key of a request.
 */
const repeatMs = 35_000

/** As many as the service gives at once. */
const itemsPerPage = 1000

interface ListPage<T> {
  items: T[]
  nextToken?: string
}

/**
 * Finds the service: `REHOST_URL` and `REHOST_API_TOKEN`, else the one whose data folder is here.
 * @throws Error saying what to set when there is no token.
 */
export async function findAccess(environment: Record<string, string | undefined>): Promise<ApiAccess> {
  const { REHOST_URL: url, REHOST_HTTP_HOST: host = '127.0.0.1', REHOST_HTTP_PORT: port } = environment
  const place = {
    baseUrl: url ?? dashboardUrl(host, port ?? '8080'),
    ...(url === undefined && port === undefined ? { isGuessed: true as const } : {}),
  }
  const preset = environment['REHOST_API_TOKEN']
  if (preset !== undefined) return { ...place, token: preset }
  const file = join(resolve(environment['REHOST_DATA_DIR'] ?? '.rehost'), 'cli-token')
  try {
    return { ...place, token: (await readFile(file, 'utf8')).trim() }
  } catch (error) {
    throw new Error(
      `Cannot read ${file}: run this where rehost up runs, set REHOST_DATA_DIR to its data folder, or set REHOST_URL and REHOST_API_TOKEN`,
      { cause: error },
    )
  }
}

/** Calls `/api/v1`. */
export class ApiClient {
  readonly #access: ApiAccess
  readonly #patienceMs: number
  readonly #tell: (line: string) => void

  /**
   * @param patienceMs how long a service is asked again where nothing listens, as one that is just being restarted
   * @param tell hears that a call waits because there were too many
   */
  constructor(access: ApiAccess, patienceMs = 0, tell: (line: string) => void = remark) {
    this.#access = access
    this.#patienceMs = patienceMs
    this.#tell = tell
  }

  /** GET, decoded. @throws ApiError when refused. */
  get<T>(path: string): Promise<T> {
    return this.#call<T>('GET', path)
  }

  /** GET of what is no JSON, as it is. @throws ApiError when refused. */
  getText(path: string): Promise<string> {
    return this.#send('GET', path)
  }

  /** GET of what comes bit by bit, until `signal` ends it. @throws ApiError when refused. */
  async open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const response = await this.#fetch('GET', path, { headers, signal })
    await refuseUnlessOk(response, 'GET', path)
    return response
  }

  /** Every item of a list that comes in pages. @throws ApiError when refused. */
  async getAll<T>(path: string): Promise<T[]> {
    const found: T[] = []
    let next = ''
    do {
      const page = await this.get<ListPage<T>>(
        `${path}${path.includes('?') ? '&' : '?'}limit=${itemsPerPage}${next}`,
      )
      found.push(...page.items)
      next = page.nextToken === undefined ? '' : `&nextToken=${encodeURIComponent(page.nextToken)}`
    } while (next !== '')
    return found
  }

  /** POST with a JSON body, decoded. @throws ApiError when refused. */
  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.#call<T>('POST', path, body)
  }

  /** PUT with a JSON body, decoded. @throws ApiError when refused. */
  put<T>(path: string, body: unknown): Promise<T> {
    return this.#call<T>('PUT', path, body)
  }

  /** DELETE. @throws ApiError when refused. */
  delete(path: string): Promise<void> {
    return this.#call<void>('DELETE', path)
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await this.#send(method, path, body)
    // The caller names the shape; the service is our own and validated it before sending.
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  async #send(method: string, path: string, body?: unknown): Promise<string> {
    // With a key, what was done already is answered and not done again.
    const headers: Record<string, string> = method === 'POST' ? { 'idempotency-key': randomUUID() } : {}
    const beganMs = Date.now()
    let isLost = false
    let mayBeDone = false
    for (;;) {
      try {
        return await this.#sendOnce(method, path, headers, body)
      } catch (error) {
        // Done the first time, whose answer was lost.
        if (method === 'DELETE' && mayBeDone && error instanceof ApiError && error.status === 404) return ''
        const waitMs = error instanceof ApiError ? error.retryAfterMs : askAgainMs
        const isKnown = error instanceof ApiError || error instanceof UnreachableError
        if (!isKnown || waitMs === undefined) throw error
        mayBeDone ||= error instanceof UnreachableError && error.isLost
        isLost ||= error instanceof ApiError || error.isLost
        // Where nothing listens there is nothing to wait for, unless something did just now.
        const patienceMs = isLost ? Math.max(repeatMs, this.#patienceMs) : this.#patienceMs
        if (Date.now() + waitMs > beganMs + patienceMs) throw error
        const isOverLimit = error instanceof ApiError && error.status === 429
        if (isOverLimit) this.#tell(`${error.message}; waiting ${waitMs / 1000} s`)
        await sleep(waitMs)
      }
    }
  }

  async #sendOnce(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: unknown,
  ): Promise<string> {
    const signal = AbortSignal.timeout(requestTimeoutMs)
    const response = await this.#fetch(method, path, {
      headers,
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    try {
      await refuseUnlessOk(response, method, path)
      return await response.text()
    } catch (error) {
      throw error instanceof ApiError ? error : new UnreachableError(this.#access, error)
    }
  }

  async #fetch(
    method: string,
    path: string,
    { headers, ...more }: { headers: Record<string, string>; signal: AbortSignal; body?: string },
  ): Promise<Response> {
    const { baseUrl, token } = this.#access
    const own = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    try {
      return await fetch(`${baseUrl}/api/v1${path}`, { method, headers: { ...own, ...headers }, ...more })
    } catch (error) {
      throw new UnreachableError(this.#access, error)
    }
  }
}

/** @throws ApiError in the words of the service. */
async function refuseUnlessOk(response: Response, method: string, path: string): Promise<void> {
  if (response.ok) return
  const detail = problemDetail(await response.text()) ?? `${method} ${path} answered ${response.status}`
  throw new ApiError(response.status, detail, retryAfterMs(response))
}

/** The header of an answer that may be another one soon. */
function retryAfterMs({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? seconds * 1000 : undefined
}

/** The sentence in a problem+json body. */
function problemDetail(text: string): string | undefined {
  try {
    const problem = JSON.parse(text) as { detail?: unknown; title?: unknown }
    return [problem.detail, problem.title].find((value): value is string => typeof value === 'string')
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
