/**
 * Refused calls on the agent port are remembered for the dashboard, as the agent's own log is the last place where an operator looks, and
 * written to the log, for whoever looks later.
 * @module
 */
import type { Context } from 'hono'
import type { RefusedCall, RefusedCaller } from '../refusals.ts'
import type { Services } from '../services.ts'
import type { PeerCertificate } from './identity.ts'
import { isId } from '../../domain/ids.ts'
import { agentUri } from '../../wire/control_api.ts'
import { asRefusal } from '../problem.ts'
import { remoteAddress } from '../request.ts'

/** Runs `use`, and remembers and logs its refusal as one of `about`; failures of our own are not the caller's. */
export async function rememberRefusal<T>(
  services: Pick<Services, 'refusals' | 'refusalLog'>,
  c: Context,
  kind: RefusedCall['kind'],
  about: Omit<RefusedCaller, 'address'>,
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use()
  } catch (error) {
    const { status, message } = asRefusal(error)
    if (status < 500) {
      const caller = { address: remoteAddress(c), ...about }
      services.refusalLog.add(services.refusals.note(kind, caller, message))
    }
    throw error
  }
}

/** The server that a certificate names, trusted or not; undefined for one that names none. */
export function namedServer(peer: PeerCertificate | undefined): string | undefined {
  const prefix = agentUri('')
  const uri = peer?.uris.find((name) => name.startsWith(prefix))
  const id = uri?.slice(prefix.length) ?? ''
  return isId('sourceServer', id) ? id : undefined
}
