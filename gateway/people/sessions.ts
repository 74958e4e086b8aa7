/**
 * Signed-in browsers. The cookie holds an opaque secret, the store its SHA-256.
 * @module
 */
import type { Session, User } from '../../domain/enrolment.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import type { Store } from '../../store/store.ts'
import { listAll } from '../../store/listing.ts'
import { newSecret, sha256 } from '../secrets.ts'

/** A sign-in lasts a working day. */
export const sessionLifetimeMs = 12 * 3_600_000

/** Who is signed in, and in which browser. */
export interface SignedIn {
  user: User
  sessionSha256: string
}

/** Starts a session; returns the secret for the cookie. */
export async function startSession(
  store: Store,
  user: User,
  { clock, random }: { clock: () => Date; random: RandomBytes },
): Promise<string> {
  const secret = newSecret('', random)
  const now = clock()
  const sessionSha256 = sha256(secret)
  await store.create(
    'session',
    { id: sessionSha256 },
    {
      sessionSha256,
      userName: user.userName,
      createdAt: now.toISOString(),
      expiresAt: new Date(now.getTime() + sessionLifetimeMs).toISOString(),
    },
  )
  return secret
}

/** Who holds `secret`, if the session is alive and the person still exists. */
export async function findSession(store: Store, secret: string, now: Date): Promise<SignedIn | undefined> {
  return isAlive(store, sha256(secret), now)
}

/** The same for a session known by its hash: long streams look again now and then. */
export async function isAlive(store: Store, sessionSha256: string, now: Date): Promise<SignedIn | undefined> {
  const session = await store.get('session', { id: sessionSha256 })
  if (session === undefined) return undefined
  if (Date.parse(session.value.expiresAt) <= now.getTime()) {
    await store.remove('session', { id: sessionSha256 })
    return undefined
  }
  const user = await store.get('user', { id: session.value.userName })
  return user === undefined ? undefined : { user: user.value, sessionSha256 }
}

/** Ends a session. */
export async function endSession(store: Store, sessionSha256: string): Promise<void> {
  await store.remove('session', { id: sessionSha256 })
}

/** Ends every session of a person. */
export function endSessionsOf(store: Store, userName: string): Promise<void> {
  return removeSessions(store, (session) => session.userName === userName)
}

/** Removes sessions that nobody came back to. */
export function sweepSessions(store: Store, now: Date): Promise<void> {
  return removeSessions(store, (session) => Date.parse(session.expiresAt) <= now.getTime())
}

async function removeSessions(store: Store, isOver: (session: Session) => boolean): Promise<void> {
  for (const session of await listAll(store, 'session'))
    if (isOver(session)) await store.remove('session', { id: session.sessionSha256 })
}
