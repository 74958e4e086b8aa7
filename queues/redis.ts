/**
 * Redis connections: made from a URL, never silent about trouble, never the death of their process.
 * @module
 */
import { createNodeRedisClient } from 'bullmq'
import type { IRedisClient } from 'bullmq'
import { createClient } from 'redis'
import { errorMessage } from '../domain/errors.ts'

/** A connection. */
export type RedisClient = ReturnType<typeof createClient>

/** Where trouble is told. */
export type RedisTrouble = (message: string) => void

/** Waits between tries to reconnect grow to this. */
const maxReconnectDelayMs = 2000

/** How a connection that hangs is noticed. */
export interface Vigilance {
  /** A connection with nothing to do is asked for a sign of life this often. */
  pingEveryMs: number
  /** One that says nothing for so long is given up, and made anew. */
  silentMs: number
}

/** BullMQ lets Redis hold its answer for ten seconds at most. */
const usualVigilance: Vigilance = { pingEveryMs: 5000, silentMs: 25_000 }

/** Socket options of `redis://…`, `rediss://…` or `unix:///path/to/socket`. @throws TypeError for anything else. */
function connectionOptions(url: string): { url: string } | { socket: { path: string } } {
  const parsed = new URL(url)
  if (parsed.protocol === 'unix:') return { socket: { path: decodeURIComponent(parsed.pathname) } }
  if (parsed.protocol === 'redis:' || parsed.protocol === 'rediss:') return { url }
  throw new TypeError(
    `Cannot use REDIS_URL with protocol ${parsed.protocol} as Redis: use redis://, rediss:// or unix:///path`,
  )
}

/**
 * A client that has not connected yet. It reconnects for ever; the first error of an outage is told to `trouble`, and its end too. An outage is also that Redis, or the
 * network before it, says nothing any more without closing the connection: the system would notice that after many minutes, in which no job runs.
 * @throws TypeError when `url` is not a Redis URL.
 */
export function createRedisClient(
  url: string,
  trouble: RedisTrouble,
  { pingEveryMs, silentMs }: Vigilance = usualVigilance,
): RedisClient {
  const options = connectionOptions(url)
  const reconnectStrategy = (retries: number): number =>
    Math.min(50 * 2 ** Math.min(retries, 10), maxReconnectDelayMs)
  const socket = { reconnectStrategy, socketTimeout: silentMs }
  const client: RedisClient = createClient({
    pingInterval: pingEveryMs,
    ...('url' in options
      ? { url: options.url, socket }
      : { socket: { ...socket, path: options.socket.path, tls: false } }),
  })
  let isDown = false
  client.on('error', (error: Error) => {
    if (!isDown) trouble(`Cannot reach Redis: ${error.message}; trying again until it is back`)
    isDown = true
  })
  client.on('ready', () => {
    if (isDown) trouble('Redis is back')
    isDown = false
  })
  return client
}

/**
 * Looks whether Redis does what a queue store must not do: evict keys. Answers with a sentence when it may, or when it cannot be asked:
 * managed services forbid the question, and that is no reason not to start.
 */
export async function evictionWarning(client: RedisClient): Promise<string | undefined> {
  try {
    const { 'maxmemory-policy': policy } = await client.configGet('maxmemory-policy')
    if (policy === undefined || policy === 'noeviction') return undefined
    return `Redis has maxmemory-policy ${policy} and may drop queue entries: set it to noeviction`
  } catch (error) {
    return `Cannot ask Redis for its maxmemory-policy, which must be noeviction: ${errorMessage(error)}`
  }
}

/**
 * The client as BullMQ takes it, for any number of queues and workers. Errors are heard here as well as by `client`'s own listener: once
 * the last queue on it has closed, nobody else does, and an error that nobody hears ends the process.
 */
export function bullConnection(client: RedisClient): IRedisClient {
  const connection = createNodeRedisClient(client)
  connection.on('error', () => undefined)
  return connection
}
