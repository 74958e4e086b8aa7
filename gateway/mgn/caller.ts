/**
 * Who calls the MGN-compatible API, and what they may do.
 * @module
 */
import type { AccessKey } from '../../domain/enrolment.ts'
import type { Role } from '../people/accounts.ts'
import { isInScope, roleForOperation } from '../../domain/access_key.ts'
import { hasRole } from '../people/accounts.ts'
import { AccessError } from './access_error.ts'

/** A caller whose signature was right. */
export interface Caller {
  /** The name that events and jobs keep. */
  actor: string
  accessKeyId: string
  role: Role
  /** Whether `operation`, by MGN's name, is open to the caller. */
  mayCall(operation: string): boolean
  /** Says why not. @throws AccessError unless {@link mayCall}. */
  requireMayCall(operation: string): void
}

/** The caller that `key` makes of whoever has it. */
export function callerOf(key: AccessKey): Caller {
  const { accessKeyId, name, role, scopes } = key
  const whyNot = (operation: string): string | undefined => {
    const needed = roleForOperation(operation)
    if (!hasRole(role, needed)) return `its role is ${role}, and this needs ${needed}`
    return isInScope(scopes, operation) ? undefined : `it is only for ${scopes.join(', ')}`
  }
  return {
    actor: `access key ${name}`,
    accessKeyId,
    role,
    mayCall: (operation) => whyNot(operation) === undefined,
    requireMayCall(operation) {
      const reason = whyNot(operation)
      if (reason === undefined) return
      throw new AccessError(
        'AccessDeniedException',
        `The access key “${name}” (${accessKeyId}) is not authorized to perform: mgn:${operation}: ${reason}`,
      )
    },
  }
}
