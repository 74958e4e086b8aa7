/**
 * People who sign in: their passwords, as argon2id hashes, and their roles.
 * @module
 */
import { rm } from 'node:fs/promises'
import { hash, verify } from '@node-rs/argon2'
import type { User } from '../../domain/enrolment.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import type { Store } from '../../store/store.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { firstPassword } from './first_password.ts'
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

/** Longest name of a person. */
export const maxUserNameLength = 128

/** Longest password that is hashed: a longer one only costs time. */
export const maxPasswordLength = 1024

/**
 * Makes the administrator if there is none, and sets the password to `preset` where one is given; a new password ends all sign-ins. A
 * password that had to be made up is in `file`, from before the administrator is stored: an end in between must not leave one whose
 * password nobody knows.
 */
export async function ensureAdmin(
  store: Store,
  file: string,
  { preset, random, clock }: { preset?: string | undefined; random: RandomBytes; clock: () => Date },
): Promise<void> {
  const key = { id: adminUserName }
  // Whatever a start before left there is not the password any more.
  if (preset !== undefined) await rm(file, { force: true })
  const known = await store.get('user', key)
  if (known !== undefined) {
    if (preset === undefined || (await verify(known.value.passwordHash, preset))) return
    const passwordHash = await hash(preset)
    await mutate(store, 'user', key, (user) => ({ ...user, passwordHash }))
    // Whoever knew the old password may be why there is a new one.
    await endSessionsOf(store, adminUserName)
    return
  }
  const password = preset ?? (await firstPassword(file, random))
  const user: User = {
    userName: adminUserName,
    passwordHash: await hash(password),
    role: 'admin',
    createdAt: clock().toISOString(),
  }
  try {
    await store.create('user', key, user)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    // Another gateway made it at the same moment; its password is the one that counts, and in this data folder it is the same one.
    if ((await checkPassword(store, adminUserName, password)) === undefined) await rm(file, { force: true })
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
  if (password.length > maxPasswordLength || userName.length > maxUserNameLength || userName === '')
    return undefined
  const known = await store.get('user', { id: userName })
  nobody ??= hash('nobody has this password')
  const isRight = await verify(known?.value.passwordHash ?? (await nobody), password)
  return isRight ? known?.value : undefined
}

/** Whether somebody has this name. */
export async function isUser(store: Store, userName: string): Promise<boolean> {
  if (userName === '' || userName.length > maxUserNameLength) return false
  return (await store.get('user', { id: userName })) !== undefined
}
