/**
 * Whether a launched machine answers a check over HTTP.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CloudMachine } from '../../cloud/provider.ts'
import type { LaunchConfiguration } from '../../domain/source_server.ts'
import { errorMessage } from '../../domain/errors.ts'

const timeoutMs = 10_000
/** A connection that was begun before the guest's network was up may hang, while one begun now is answered at once. */
const anotherTryMs = 2000
/** Most of a page that is searched. */
const maxPageCharacters = 1_000_000

type HttpCheck = LaunchConfiguration['httpChecks'][number]

/** Why a check does not hold now; undefined when it holds. @throws the reason of `signal` when it is aborted. */
export async function httpProblem(
  get: typeof fetch,
  machine: Pick<CloudMachine, 'endpoints'>,
  check: HttpCheck,
  signal: AbortSignal,
): Promise<string | undefined> {
  const endpoint = machine.endpoints.find(({ guestPort }) => guestPort === check.port)
  if (endpoint === undefined) return `port ${check.port} of the machine cannot be reached from here`
  const url = `http://${endpoint.host}:${endpoint.port}${check.path}`
  const over = new AbortController()
  const until = AbortSignal.any([signal, over.signal, AbortSignal.timeout(timeoutMs)])
  try {
    const tries = Array.from({ length: timeoutMs / anotherTryMs }, async (_, index) => {
      await sleep(index * anotherTryMs, undefined, { signal: until })
      return await problemOf(await get(url, { redirect: 'manual', signal: until }), check)
    })
    return await Promise.race(tries)
  } catch (error) {
    signal.throwIfAborted()
    return `port ${check.port}${check.path} does not answer (${errorMessage(error)})`
  } finally {
    over.abort()
  }
}

async function problemOf(
  response: Response,
  { port, path, contains }: HttpCheck,
): Promise<string | undefined> {
  const text = (await response.text()).slice(0, maxPageCharacters)
  if (!response.ok) return `port ${port}${path} answered ${response.status}`
  if (contains !== undefined && !text.includes(contains))
    return `port ${port}${path} answered without "${contains}"`
  return undefined
}
