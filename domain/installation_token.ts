/**
 * How an installation token is written: `<token id>.<secret>`, so that its record is found without a search. The record keeps the
 * SHA-256 of the secret alone. Gateways make tokens for agents, workers make them for replication servers.
 * @module
 */
import type { InstallationToken } from './enrolment.ts'
import type { RandomBytes, ReplicationServerId } from './ids.ts'
import { newId } from './ids.ts'

/** What a new token allows. */
export interface NewInstallationToken {
  purpose: InstallationToken['purpose']
  createdBy: string
  at: string
  uses: number
  lifetimeMs: number
  /** For REPLICATOR: the only server that may use it. */
  replicationServerId?: ReplicationServerId
}

/** SHA-256 of a text, in hexadecimal. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** A new token: the text to hand out once, and the record to store under its `tokenId`. */
export async function newInstallationToken(
  wanted: NewInstallationToken,
  random: RandomBytes,
): Promise<{ token: string; record: InstallationToken }> {
  const secret = Array.from(random(32), (byte) => byte.toString(16).padStart(2, '0')).join('')
  const tokenId = newId('token', random)
  const record: InstallationToken = {
    tokenId,
    secretSha256: await sha256Hex(secret),
    purpose: wanted.purpose,
    createdAt: wanted.at,
    createdBy: wanted.createdBy,
    expiresAt: new Date(Date.parse(wanted.at) + wanted.lifetimeMs).toISOString(),
    usesLeft: wanted.uses,
    ...(wanted.replicationServerId === undefined ? {} : { replicationServerId: wanted.replicationServerId }),
    usedBy: [],
  }
  return { token: `${tokenId}.${secret}`, record }
}

/** The two parts of a token's text; empty strings where one is missing. */
export function splitInstallationToken(text: string): { tokenId: string; secret: string } {
  const [tokenId = '', secret = ''] = text.split('.', 2)
  return { tokenId, secret }
}
