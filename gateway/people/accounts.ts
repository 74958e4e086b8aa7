/**
 * People who sign in: their passwords, as argon2id hashes, and their roles.
 * @module
 */
import { hash, verify } from '@node-rs/argon2'
import type { User } from '../../domain/enrolment.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import type { Store } from '../../store/store.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { endSessionsOf } from './sessions.ts'

/** What a person may do; each role may do what the ones before it may. */
export type Role = User['role']

const roleRank: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 }

/** Whether `role` includes what `needed` may do. */
export function hasRole(role: Role, needed: Role): boolean {
  return roleRank[role] >= roleRank[needed]
}

/** The administrator that an installation begins with. */
export const adminUserName = 'admin'

/** Letters and digits that cannot be mistaken for one another when read aloud. */
const passwordAlphabet = 'abcdefghjkmnpqrstuvwxyz23456789'

/** Four groups of five: about 99 bits. */
function newPassword(random: RandomBytes): string {
  const groups = [0, 1, 2, 3].map(() => {
    let group = ''
    while (group.length < 5) {
      for (const byte of random(8)) {
        // Rejecting the rest of the range keeps every letter as likely as any other.
        if (byte < 248 && group.length < 5) group += passwordAlphabet[byte % passwordAlphabet.length] ?? ''
      }
    }
    return group
  })
  return groups.join('-')
}

/** Longest password that is hashed: a longer one only costs time. */
export const maxPasswordLength = 1024

/**
 * Makes the administrator if there is none, and sets the password to `preset` where one is given; a new password ends all sign-ins.
 * @returns the password made up, to be shown once; undefined when the administrator was there or the password was given.
 */
export async function ensureAdmin(
  store: Store,
  options: { preset?: string | undefined; random: RandomBytes; clock: () => Date },
): Promise<string | undefined> {
  const key = { id: adminUserName }
  const known = await store.get('user', key)
  if (known !== undefined) {
    if (options.preset === undefined || (await verify(known.value.passwordHash, options.preset)))
      return undefined
    const passwordHash = await hash(options.preset)
    await mutate(store, 'user', key, (user) => ({ ...user, passwordHash }))
    // Whoever knew the old password may be why there is a new one.
    await endSessionsOf(store, adminUserName)
    return undefined
  }
  const made = options.preset === undefined ? newPassword(options.random) : undefined
  const user: User = {
    userName: adminUserName,
    passwordHash: await hash(options.preset ?? made ?? ''),
    role: 'admin',
    createdAt: options.clock().toISOString(),
  }
  try {
    await store.create('user', key, user)
    return made
  } catch (error) {
    // Another gateway made it at the same moment; its password is the one that counts.
    if (error instanceof RevisionConflictError) return undefined
    throw error
  }
}

/** Compared against when there is no such person, so that the answer takes as long. */
let nobody: Promise<string> | undefined

/** The person, if name and password are right. */
export async function checkPassword(
  store: Store,
  userName: string,
  password: string,
): Promise<User | undefined> {
  if (password.length > maxPasswordLength || userName.length > 128 || userName === '') return undefined
  const known = await store.get('user', { id: userName })
  nobody ??= hash('nobody has this password')
  const isRight = await verify(known?.value.passwordHash ?? (await nobody), password)
  return isRight ? known?.value : undefined
}
