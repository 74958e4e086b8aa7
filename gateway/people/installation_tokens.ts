/**
 * Installation tokens: made by an operator, used by agents and replication servers; see `token_uses.ts`.
 * @module
 */
import type { InstallationToken } from '../../domain/enrolment.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import type { NewInstallationToken } from '../../domain/installation_token.ts'
import type { Store, Versioned } from '../../store/store.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { isId } from '../../domain/ids.ts'
import { newInstallationToken, splitInstallationToken } from '../../domain/installation_token.ts'
import { listAll } from '../../store/listing.ts'
import { mutate } from '../../store/mutate.ts'
import { Refusal } from '../problem.ts'
import { isSecret } from '../secrets.ts'
import type { VersionCheck } from '../versions.ts'
import { anyVersion, revisionVersion } from '../versions.ts'
import { makeAnother, maxTokenUses, refuseIfSpent, settleOldUses } from './token_uses.ts'

/** Bounds on what may be asked for. */
export const tokenLimits = {
  maxUses: maxTokenUses,
  minLifetimeMs: 60_000,
  maxLifetimeMs: 7 * 86_400_000,
} as const

/** A token that has expired stays this long, for whoever wonders which servers came with it. */
const keptExpiredMs = 30 * 86_400_000

/** Unless asked otherwise: long enough to reach the next machine room. */
export const defaultTokenLifetimeMs = 3_600_000

/** Makes a token and stores its record. */
export async function createInstallationToken(
  store: Store,
  wanted: NewInstallationToken,
  random: RandomBytes,
): Promise<{ token: string; record: InstallationToken }> {
  const made = await newInstallationToken(wanted, random)
  await store.create('token', { id: made.record.tokenId }, made.record)
  return made
}

/**
 * The token, if it may be used now for `purpose`. Nothing is spent; uses of long ago that came to nothing are given back.
 * @throws Refusal 401 for a wrong one; 403 for one that is expired, used up or meant for something else.
 */
export async function checkInstallationToken(
  store: Store,
  text: string,
  purpose: InstallationToken['purpose'],
  now: Date,
): Promise<Versioned<InstallationToken>> {
  const { tokenId: id, secret } = splitInstallationToken(text)
  const found = await store.get('token', { id })
  if (found === undefined || !isSecret(secret, found.value.secretSha256)) {
    throw new Refusal(
      401,
      'unauthenticated',
      `The installation token is wrong: copy the whole command, or ${makeAnother}`,
    )
  }
  const token = found.value
  if (token.purpose !== purpose) {
    throw new Refusal(403, 'forbidden', `The token ${token.tokenId} is not meant for this; ${makeAnother}`)
  }
  if (Date.parse(token.expiresAt) <= now.getTime()) {
    throw new Refusal(
      403,
      'forbidden',
      `The installation token ${token.tokenId} expired at ${token.expiresAt}; ${makeAnother}`,
    )
  }
  const settled = token.usesLeft > 0 ? found : await settleOldUses(store, found, now)
  refuseIfSpent(settled.value)
  return settled
}

/** A token made by people, with its revision. @throws NotFoundError, also for what is no id. */
export async function findInstallationToken(store: Store, id: string): Promise<Versioned<InstallationToken>> {
  const found = isId('token', id) ? await store.get('token', { id }) : undefined
  if (found?.value.purpose !== 'AGENT') throw new NotFoundError('installation token', id)
  return found
}

/** Takes away what is left of a token. @throws NotFoundError; whatever `check` throws. */
export async function revokeInstallationToken(
  store: Store,
  id: string,
  check: VersionCheck = anyVersion,
): Promise<void> {
  const { tokenId } = (await findInstallationToken(store, id)).value
  await mutate(store, 'token', { id: tokenId }, (token, revision) => {
    check(revisionVersion(revision))
    const { pendingUses, ...rest } = token
    // What is given back later finds nothing to give back.
    return token.usesLeft === 0 && pendingUses === undefined ? token : { ...rest, usesLeft: 0 }
  })
}

/** Removes tokens that expired long ago. */
export async function sweepInstallationTokens(store: Store, now: Date): Promise<void> {
  for (const { tokenId, expiresAt } of await listAll(store, 'token'))
    if (Date.parse(expiresAt) <= now.getTime() - keptExpiredMs) await store.remove('token', { id: tokenId })
}
