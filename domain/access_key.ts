/**
 * How access keys are written, and what they let a program do.
 * @module
 */
import type { AccessKey, User } from './enrolment.ts'
import type { RandomBytes } from './ids.ts'

/** How every id begins that Rehost makes, so that scanners for leaked secrets find it. */
export const accessKeyPrefix = 'RHAK'

/** 32 letters and digits, as in the ids of AWS: five random bits choose one. */
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const idLetters = 16

/** Bounds on what an access key is given. */
export const accessKeyLimits = { maxScopes: 50, maxScopeLength: 80, maxLifetimeDays: 3650 } as const

/** A new id: the prefix and 16 upper-case letters and digits, 20 in all as AWS has. */
export function newAccessKeyId(random: RandomBytes): string {
  return accessKeyPrefix + Array.from(random(idLetters), (byte) => alphabet[byte & 31]).join('')
}

/** Whether `text` can be the id of an access key; a preset one is chosen by the operator and may look otherwise than ours. */
export function isAccessKeyId(text: string): boolean {
  return /^\w{3,128}$/.test(text)
}

/** Whether `text` says what a key may be used for: all, one operation, or those that begin alike. */
export function isScope(text: string): boolean {
  return text.length <= accessKeyLimits.maxScopeLength && /^(\*|mgn:([A-Za-z]+\*?|\*))$/.test(text)
}

/** Whether one of `scopes` includes `operation`. Upper and lower case are the same, as in policies of AWS. */
export function isInScope(scopes: readonly string[], operation: string): boolean {
  const wanted = `mgn:${operation}`.toLowerCase()
  return scopes.some((scope) => {
    const given = scope.toLowerCase()
    return given.endsWith('*') ? wanted.startsWith(given.slice(0, -1)) : wanted === given
  })
}

/** The role that an operation of MGN needs: to look, to act, or to set the installation up. */
export function roleForOperation(operation: string): User['role'] {
  if (operation === 'InitializeService') return 'admin'
  return /^(Describe|List|Get)[A-Z]/.test(operation) ? 'viewer' : 'operator'
}

/** Whether the key's time is over. */
export function isExpired(key: Pick<AccessKey, 'expiresAt'>, now: Date): boolean {
  return key.expiresAt !== undefined && Date.parse(key.expiresAt) <= now.getTime()
}
