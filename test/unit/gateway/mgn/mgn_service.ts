/**
 * MGN's API over a real port, and MGN's own client for it.
 * @module
 */
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { MgnClient } from '@aws-sdk/client-mgn'
import { createAdaptorServer } from '@hono/node-server'
import { expect } from 'vitest'
import type { SourceServer } from '../../../../domain/source_server.ts'
import type { Role } from '../../../../gateway/people/accounts.ts'
import type { TestGateway } from '../support.ts'
import { enrolServer, inventory, putServer, staged } from '../callers.ts'
import { testGateway } from '../support.ts'
import type { Credentials, Unsigned } from './signer.ts'
import { newKey, sign } from './signer.ts'

/** What the clients of the tests call this place. */
const region = 'eu-test-1'

/** A gateway with MGN's API on a port. */
export interface MgnService {
  gateway: TestGateway
  /** Whose calls are an admin's, until {@link MgnService.become}. */
  client: MgnClient
  credentials: Credentials
  /** The next calls are those of another key. */
  become(role: Role, scopes?: string[]): Promise<void>
  close(): Promise<void>
}

/** Starts it; the account is initialised unless told. */
export async function mgnService({ isInitialised = true } = {}): Promise<MgnService> {
  const gateway = await testGateway()
  const server = createAdaptorServer({ fetch: gateway.app.fetch.bind(gateway.app) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const clientOf = (credentials: Credentials) =>
    new MgnClient({
      endpoint,
      region,
      credentials,
      maxAttempts: 1,
      // The gateway's clock stands still at another time.
      systemClockOffset: gateway.now().getTime() - Date.now(),
    })
  const credentials = await newKey(gateway, { role: 'admin' })
  const service: MgnService = {
    gateway,
    client: clientOf(credentials),
    credentials,
    become: async (role, scopes = ['*']) => {
      service.client.destroy()
      service.credentials = await newKey(gateway, { role, scopes })
      service.client = clientOf(service.credentials)
    },
    close: async () => {
      service.client.destroy()
      server.close()
      await gateway.close()
    },
  }
  if (isInitialised) await post(service, 'InitializeService', '')
  return service
}

/** What a call is answered with. */
export interface Answer {
  status: number
  shape: string | null
  text: string
  body: Record<string, unknown>
}

/** Calls with whatever is given, signed. */
export async function call({ gateway, credentials }: MgnService, unsigned: Unsigned): Promise<Answer> {
  const { method, target, headers, body } = await sign(credentials, unsigned, { at: gateway.now(), region })
  const response = await gateway.app.request(`http://localhost:8080${target}`, {
    method,
    headers: headers.map(([name, value]) => [name, value]),
    ...(method === 'POST' ? { body: Uint8Array.from(body) } : {}),
  })
  const text = await response.text()
  const shape = response.headers.get('x-amzn-errortype')
  return { status: response.status, shape, text, body: asObject(text) }
}

/** Calls an operation with a body as it is. */
export function post(
  service: MgnService,
  operation: string,
  body: string | Uint8Array,
  contentType = 'application/json',
): Promise<Answer> {
  return call(service, { path: `/${operation}`, body, headers: { 'content-type': contentType } })
}

function asObject(text: string): Record<string, unknown> {
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
}

/** A server whose replica is current, named `hostname`. */
export async function readyServer(service: MgnService, hostname = 'web-1'): Promise<SourceServer> {
  // The inventory names the machine, by which it is known again.
  const named = inventory(hostname)
  const hints = { ...named.identificationHints, machineId: `machine-${hostname}` }
  const interfaces = named.networkInterfaces.map((own) => ({ ...own, macAddress: macOf(hostname) }))
  const source = { ...named, identificationHints: hints, networkInterfaces: interfaces }
  const { sourceServerId } = await enrolServer(service.gateway, hostname, source)
  return putServer(service.gateway, sourceServerId, (server) => {
    const ready = staged(server)
    return {
      ...ready,
      lifecycle: { ...ready.lifecycle, state: 'READY_FOR_TEST', firstByteAt: '2026-03-01T11:50:00.000Z' },
      replication: {
        ...ready.replication,
        state: 'CONTINUOUS',
        lastConsistentAt: '2026-03-01T11:59:59.500Z',
      },
      disks: ready.disks.map((disk) => ({ ...disk, replicatedBytes: disk.sizeBytes })),
    }
  })
}

/** What a call is refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (answer) => expect.fail(`It answered ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  )
}

function macOf(hostname: string): string {
  const digits = Buffer.from(hostname.padStart(5, '0')).subarray(-5).toString('hex')
  return `02:${digits.match(/../g)?.join(':') ?? ''}`
}
