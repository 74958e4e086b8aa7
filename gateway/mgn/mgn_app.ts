/**
 * MGN's API at the root of the operator port: restJson1 with signed requests. Every operation is a row of a table; a call goes through the same
 * doors: signature, role, initialisation, body, schema.
 * @module
 */
import type { Context } from 'hono'
import type { Services } from '../services.ts'
import type { MgnContext, Operation } from './operation.ts'
import { Hono } from 'hono'
import { isInitialised } from './account.ts'
import { readBody } from './body.ts'
import { MgnError, asMgnError, mgnErrorResponse, reasonForLog } from './mgn_error.ts'
import { operations } from './operations.ts'
import { verifyRequest } from './sigv4.ts'
import { signedRequestOf } from './signed_request.ts'

/** Larger than any honest call: 200 servers, 50 tags. */
const maxBodyBytes = 256 * 1024

/** Makes the app. What it does not know it leaves to the apps behind it, unless the request is signed. */
export function createMgnApp(services: Services): Hono {
  const app = new Hono()

  for (const operation of operations) {
    app.on(operation.method, operation.path, async (c) => {
      c.header('x-amzn-requestid', crypto.randomUUID())
      c.header('Cache-Control', 'no-store')
      // Clients set the clock by it that they sign with.
      c.header('Date', services.clock().toUTCString())
      const answered = (response: Response): Response => {
        services.apiCounts.note('mgn', response.status)
        return response
      }
      try {
        return answered(await answer(c, operation))
      } catch (error) {
        const refusal = asMgnError(error)
        if (refusal.status === 500)
          services.log.error({ operation: operation.name, error: reasonForLog(refusal) }, refusal.message)
        return answered(mgnErrorResponse(c, refusal))
      }
    })
  }
  app.use(async (c, next) => {
    if (!isSigned(c)) return next()
    c.header('x-amzn-requestid', crypto.randomUUID())
    const message = `There is no operation at ${c.req.method} ${c.req.path}`
    return mgnErrorResponse(
      c,
      new MgnError('ValidationException', message, { members: { reason: 'unknownOperation' } }),
    )
  })
  return app

  async function answer(c: Context, operation: Operation): Promise<Response> {
    const bytes = await readBytes(c)
    const caller = await verifyRequest(services, signedRequestOf(c, services.trustedProxies, bytes))
    requireRate(caller.accessKeyId)
    // Whatever region a caller signs for: an identifier names one thing in one way, in answers and in events.
    const account = { ...services.account, region: services.origin.region }
    const context: MgnContext = { services, account, caller }
    const call = async (): Promise<object | undefined> => {
      caller.requireMayCall(operation.name)
      if (!operation.worksUninitialised && !(await isInitialised(services.store)))
        throw new MgnError(
          'UninitializedAccountException',
          'Call InitializeService first, with an access key of an admin',
        )
      return operation.call(context, membersOf(c, operation, bytes))
    }
    const output = isReading(operation)
      ? await call()
      : await callAudited(context, operation.name, subjectIn(c, operation, bytes), {
          address: services.trustedProxies.callerAddress(c),
          call,
        })
    if (operation.status === 204) return c.body(null, 204)
    return c.json(output ?? {}, operation.status)
  }

  /** @throws MgnError for a call above what the access key may make. */
  function requireRate(accessKeyId: string): void {
    const { requestRates } = services
    const taken = requestRates?.take(`access key ${accessKeyId}`)
    if (requestRates === undefined || taken === undefined || taken.isAllowed) return
    services.apiCounts.noteLimited('mgn')
    const { calls, windowSeconds } = requestRates.policy
    throw new MgnError(
      'ThrottlingException',
      `Rate exceeded: the access key ${accessKeyId} may make ${calls} calls in ${windowSeconds} s`,
      {
        members: { serviceCode: 'mgn', quotaCode: 'REHOST_API_RATE' },
        headers: { 'Retry-After': String(taken.waitSeconds) },
      },
    )
  }
}

/** Operations that look and change nothing. */
function isReading({ name }: Operation): boolean {
  return /^(Describe|List|Get)[A-Z]/.test(name)
}

/** Calls what may change something: it is written down before it is done, and again when it is refused, for whatever reason. */
async function callAudited(
  { services: { audit }, caller }: MgnContext,
  action: string,
  subject: string,
  { address, call }: { address: string; call(): Promise<object | undefined> },
): Promise<object | undefined> {
  const about = subject === '' ? {} : { subject }
  const fact = { actor: caller.actor, via: 'MGN' as const, action, address, ...about }
  await audit.append({ ...fact, outcome: 'ASKED' })
  try {
    return await call()
  } catch (error) {
    await audit.append({ ...fact, outcome: 'REFUSED', status: asMgnError(error).status })
    throw error
  }
}

/** The identifiers among the members: what a call is about. Nothing else of it is written down. */
function subjectIn(c: Context, operation: Operation, bytes: Uint8Array): string {
  let members: Record<string, unknown>
  try {
    members = membersOf(c, operation, bytes)
  } catch {
    // The call refuses it with the reason.
    return ''
  }
  const named = Object.entries(members).filter(([name]) => /(?:IDs?|Arn)$/.test(name) && name !== 'accountID')
  const texts = named.flatMap(([, value]) => (Array.isArray(value) ? (value as unknown[]) : [value]))
  return texts.filter((text) => typeof text === 'string').join(' ')
}

function isSigned(c: Context): boolean {
  return (
    (c.req.header('authorization') ?? '').startsWith('AWS4-HMAC-SHA256') ||
    c.req.query('X-Amz-Algorithm') !== undefined
  )
}

async function readBytes(c: Context): Promise<Uint8Array> {
  const tooLarge = () =>
    new MgnError('RequestEntityTooLargeException', `The body is larger than ${maxBodyBytes} bytes`)
  if (Number(c.req.header('content-length') ?? 0) > maxBodyBytes) throw tooLarge()
  const stream = c.req.raw.body
  if (stream === null) return new Uint8Array(0)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > maxBodyBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** What the call gives: members of the body, of the path, and of the query where an operation has some there. */
function membersOf(c: Context, operation: Operation, bytes: Uint8Array): Record<string, unknown> {
  if (!operation.hasRoute) return readBody(textOf(bytes), c.req.header('content-type'))
  const query = Object.fromEntries(
    Object.entries(c.req.queries()).map(([name, values]) => [name, name === 'tagKeys' ? values : values[0]]),
  )
  return { ...readBody(textOf(bytes), c.req.header('content-type')), ...query, ...c.req.param() }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new MgnError('ValidationException', 'The body is not UTF-8', {
      cause: error,
      members: { reason: 'cannotParse' },
    })
  }
}
