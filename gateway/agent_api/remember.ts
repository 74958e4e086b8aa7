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
import { splitInstallationToken } from '../../domain/installation_token.ts'
import { agentUri, replicatorUri } from '../../wire/control_api.ts'
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
  const id = named(peer, agentUri(''))
  return isId('sourceServer', id) ? id : undefined
}

/** The replication server that a certificate names, trusted or not; undefined for one that names none. */
export function namedReplicator(peer: PeerCertificate | undefined): string | undefined {
  const id = named(peer, replicatorUri(''))
  return isId('replicationServer', id) ? id : undefined
}

function named(peer: PeerCertificate | undefined, prefix: string): string {
  return peer?.uris.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? ''
}

/** Id of an installation token as it was shown; undefined when it has none: who shows half a token may show its secret. */
export function shownTokenId(token: string): string | undefined {
  const { tokenId } = splitInstallationToken(token)
  return isId('token', tokenId) ? tokenId : undefined
}
