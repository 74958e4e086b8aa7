/**
 * How consistency points are reached and what becomes of new disks, as callers may set it, by form or by JSON.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ProtectionSettings } from './api/answers/configuration_answers.ts'
import type { Services } from './services.ts'
import type { VersionCheck } from './versions.ts'
import { z } from 'zod'
import { consistencyPolicyLimits, consistencyPolicyOf } from '../domain/consistency_policy.ts'
import { withExtension } from '../domain/disk_changes.ts'
import { InvalidInputError } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { changeServer } from './server_changes.ts'
import { anyVersion, contentVersion } from './versions.ts'
import { setWorkGoing } from './work.ts'

const within = ({ least, most }: { least: number; most: number }) => z.int().min(least).max(most).optional()

/** What may be set; what is left out stays as it is. */
export const protectionSchema = z.strictObject({
  intervalMinutes: within(consistencyPolicyLimits.intervalMinutes),
  maxFreezeMs: within(consistencyPolicyLimits.maxFreezeMs),
  hookTimeoutSeconds: within(consistencyPolicyLimits.hookTimeoutSeconds),
  maxHoldSeconds: within(consistencyPolicyLimits.maxHoldSeconds),
  onHookFailure: z.enum(['FAIL', 'CRASH_CONSISTENT']).optional(),
  newDisks: z.enum(['OFFER', 'TAKE']).optional(),
})
export type ProtectionChange = z.infer<typeof protectionSchema>

/** The settings of `server`. */
export function protectionOf(server: SourceServer): ProtectionSettings {
  return { ...consistencyPolicyOf(server), newDisks: server.replicationConfiguration.newDisks ?? 'OFFER' }
}

/**
 * Applies a change to what is stored; the agent hears of it with its next report. `check` sees the version of the settings as a whole.
 * @throws NotFoundError; whatever `check` throws.
 */
export async function changeProtection(
  services: Services,
  sourceServerId: SourceServerId,
  { newDisks, ...policy }: ProtectionChange,
  actor: string,
  check: VersionCheck = anyVersion,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  const server = await changeServer(services, sourceServerId, (current) => {
    const before = protectionOf(current)
    check(contentVersion(before))
    const given = Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined))
    const after = { ...before, ...given, newDisks: newDisks ?? before.newDisks }
    if (JSON.stringify(after) === JSON.stringify(before)) return current
    const { newDisks: ofNewDisks, ...consistency } = after
    const next = { ...current.replicationConfiguration, consistency, newDisks: ofNewDisks }
    const changed = withEvent({ ...current, replicationConfiguration: next }, at, {
      type: 'CONFIGURATION',
      actor,
      message: 'Settings of consistency points and new disks changed',
    })
    return withExtension(changed, at)
  })
  await setWorkGoing(services, server, actor)
  return server
}

/** What each field of the form must be, in the words of the form. */
const wanted: Readonly<Record<string, string>> = {
  intervalMinutes: 'the minutes between points: give a number from 0 to 10080, 0 for launches only',
  maxFreezeMs: 'the longest freeze: give milliseconds from 0 to 60000, 0 for never',
  hookTimeoutSeconds: 'the time for each hook: give seconds from 1 to 300',
  maxHoldSeconds: 'the time for all hooks and the freeze: give seconds from 1 to 600',
}

/** The change that a form asks for. @throws InvalidInputError naming the field and what it must be. */
export function protectionOfForm(form: Record<string, string>): ProtectionChange {
  const number = (name: string): number => Number((form[name] ?? '').trim() || 'none')
  const read = protectionSchema.safeParse({
    intervalMinutes: number('intervalMinutes'),
    maxFreezeMs: number('maxFreezeMs'),
    hookTimeoutSeconds: number('hookTimeoutSeconds'),
    maxHoldSeconds: number('maxHoldSeconds'),
    onHookFailure: form['onHookFailure'],
    newDisks: form['newDisks'],
  })
  if (read.success) return read.data
  const field = String(read.error.issues[0]?.path[0])
  throw new InvalidInputError(field, `Cannot read ${wanted[field] ?? field}`, { cause: read.error })
}
