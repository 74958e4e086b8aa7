/**
 * Uses of installation tokens. A use is taken before its enrolment writes anything and given back when that is refused, each in one conditional write: of two who
 * race for the last use one wins, and a refusal costs nothing. Of one that died in between, the use is given back once it is sure that nothing came of it.
 * @module
 */
import type { InstallationToken, PendingUse } from '../../domain/enrolment.ts'
import type { TokenId } from '../../domain/ids.ts'
import type { Store, Versioned } from '../../store/store.ts'
import { isPermanent } from '../../domain/errors.ts'
import { mutate } from '../../store/mutate.ts'
import { Refusal } from '../problem.ts'

/** As many uses as a token may have. */
export const maxTokenUses = 1000

/** Each lost race means that somebody else has taken or settled a use. */
const maxTries = 2 * maxTokenUses

/** No enrolment is under way for so long. */
const enrollingMs = 5 * 60_000

/** What to do about a token that is no good. */
export const makeAnother = 'make another one with Add server in the dashboard or rehost token'

/** Names that a refusal lists; a token may have been used a thousand times. */
const maxNames = 3

/** @throws Refusal 403 saying who used it. */
export function refuseIfSpent({ tokenId, usesLeft, usedBy, pendingUses = [] }: InstallationToken): void {
  if (usesLeft > 0) return
  const [open] = pendingUses
  if (open !== undefined) {
    const until = new Date(Date.parse(open.at) + enrollingMs).toISOString()
    throw new Refusal(
      403,
      'forbidden',
      `The last use of the installation token ${tokenId} is taken by an enrolment that has not ended, as ${open.subject}; should nothing come of it, ` +
        `the token is good again from ${until} on: try again then, or ${makeAnother}`,
    )
  }
  const more = usedBy.length - maxNames
  const names = usedBy.slice(0, maxNames).join(', ') + (more > 0 ? ` and ${more} more` : '')
  const why = usedBy.length === 0 ? 'is revoked' : `was used already by ${names}`
  throw new Refusal(403, 'forbidden', `The installation token ${tokenId} ${why}; ${makeAnother}`)
}

/**
 * Does `enrol` with one use of the token.
 * @throws Refusal when none is left; whatever `enrol` throws, after which the use is there again if that says that nothing was written.
 */
export async function usingToken<T>(
  store: Store,
  tokenId: TokenId,
  use: PendingUse,
  enrol: () => Promise<T>,
): Promise<T> {
  const take = (token: InstallationToken): InstallationToken => {
    const { usesLeft, usedBy, pendingUses = [] } = token
    // A write whose answer was lost, and after which another one wrote, looks like a lost race: the use is taken already.
    if (pendingUses.some(({ certificateSerial }) => certificateSerial === use.certificateSerial)) return token
    refuseIfSpent(token)
    return {
      ...token,
      usesLeft: usesLeft - 1,
      usedBy: [...usedBy, use.subject],
      pendingUses: [...pendingUses, use],
    }
  }
  await mutate(store, 'token', { id: tokenId }, take, maxTries)
  // What is not settled now is settled when somebody needs the use; the enrolment has ended as it has.
  const settle = (isEnrolled: boolean) =>
    settleUses(store, tokenId, [{ use, isEnrolled }]).catch(() => undefined)
  let enrolled: T
  try {
    enrolled = await enrol()
  } catch (error) {
    // Another failure may come after the write was done.
    if (isPermanent(error) || error instanceof Refusal) await settle(false)
    throw error
  }
  await settle(true)
  return enrolled
}

/** The token with the uses given back whose enrolments were begun long ago and came to nothing. */
export async function settleOldUses(
  store: Store,
  token: Versioned<InstallationToken>,
  now: Date,
): Promise<Versioned<InstallationToken>> {
  const { tokenId, purpose, pendingUses = [] } = token.value
  const old = pendingUses.filter(({ at }) => now.getTime() - Date.parse(at) >= enrollingMs)
  if (old.length === 0) return token
  const outcomes = await Promise.all(
    old.map(async (use) => ({ use, isEnrolled: await isEnrolled(store, purpose, use) })),
  )
  return settleUses(store, tokenId, outcomes)
}

async function isEnrolled(
  store: Store,
  purpose: InstallationToken['purpose'],
  { subject: id, certificateBefore }: PendingUse,
): Promise<boolean> {
  const serial =
    purpose === 'AGENT'
      ? (await store.get('server', { id }))?.value.agent.certificateSerial
      : (await store.get('replicationServer', { id }))?.value.certificateSerial
  return serial !== certificateBefore
}

function settleUses(
  store: Store,
  id: TokenId,
  outcomes: readonly { use: PendingUse; isEnrolled: boolean }[],
): Promise<Versioned<InstallationToken>> {
  const settle = (token: InstallationToken) =>
    outcomes.reduce((next, { use, isEnrolled: isSpent }) => withUseSettled(next, use, isSpent), token)
  return mutate(store, 'token', { id }, settle, maxTries)
}

/** `token` without the pending use; the same object when others have settled it. */
function withUseSettled(token: InstallationToken, use: PendingUse, isSpent: boolean): InstallationToken {
  const { pendingUses = [], ...rest } = token
  const pending = pendingUses.filter(({ certificateSerial }) => certificateSerial !== use.certificateSerial)
  if (pending.length === pendingUses.length) return token
  const settled = pending.length === 0 ? rest : { ...rest, pendingUses: pending }
  if (isSpent) return settled
  const last = rest.usedBy.lastIndexOf(use.subject)
  return {
    ...settled,
    usesLeft: rest.usesLeft + 1,
    usedBy: rest.usedBy.filter((_, index) => index !== last),
  }
}
