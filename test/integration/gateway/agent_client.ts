/**
 * An agent's side of the agent port, over real TLS.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import type { Agent } from 'node:https'
import { join } from 'node:path'
import type { GatewayProcess } from '../../fixtures/gateway_process.ts'
import { newKeyAndRequest } from '../../../agent/certificate_request.ts'
import { gatewayServerName } from '../../../wire/control_api.ts'
import { inventory } from '../../unit/gateway/callers.ts'

/** What a client shows. */
export interface Identity {
  certPem?: string
  keyPem?: string
}

/** A call on the agent port, over a connection of its own or of `agent`. */
export async function call(
  gateway: GatewayProcess,
  path: string,
  body: unknown,
  identity: Identity = {},
  agent?: Agent,
): Promise<{ status: number; body: { detail?: string } & Record<string, unknown> }> {
  const caPem = await readFile(join(gateway.dataDir, 'ca/ca.crt.pem'), 'utf8')
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: gateway.agentPort,
        path,
        method: 'POST',
        ca: caPem,
        servername: gatewayServerName,
        minVersion: 'TLSv1.3',
        cert: identity.certPem,
        key: identity.keyPem,
        agent: agent ?? false,
        headers: { 'content-type': 'application/json' },
      },
      (incoming) => {
        let text = ''
        incoming.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify(body))
  })
}

/** An agent that has just enrolled. */
export async function enrolled(
  gateway: GatewayProcess,
  hostname: string,
): Promise<{ identity: Required<Identity>; id: string }> {
  const { token } = await gateway.api<{ token: string }>('POST', '/tokens', {})
  const { keyPem, csrPem } = await newKeyAndRequest()
  const { status, body } = await call(gateway, '/agent/v1/enrol', {
    token,
    csrPem,
    version: '0.1.0',
    sourceProperties: inventory(hostname),
  })
  if (status !== 200) throw new Error(`Enrolment answered ${status}: ${String(body.detail)}`)
  return { identity: { certPem: String(body['certificatePem']), keyPem }, id: String(body['subjectId']) }
}
