/**
 * Access keys for programs that sign as AWS's do: the secret is shown once and stored sealed.
 * @module
 */
import type { AccessKey } from '../../domain/enrolment.ts'
import type { Store, Versioned } from '../../store/store.ts'
import type { Services } from '../services.ts'
import type { VersionCheck } from '../versions.ts'
import { NotFoundError, errorMessage } from '../../domain/errors.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { anyVersion, contentVersion, removeChecked } from '../versions.ts'

/** A key is in use; to the hour is enough to find those that are not. */
const usedNotedMs = 3_600_000

/** An access key as the operator has chosen it. */
export interface PresetAccessKey {
  accessKeyId: string
  secretAccessKey: string
}

/** The key with its revision. @throws NotFoundError. */
export async function findAccessKey(store: Store, accessKeyId: string): Promise<Versioned<AccessKey>> {
  const found = await store.get('accessKey', { id: accessKeyId })
  if (found === undefined) throw new NotFoundError('access key', accessKeyId)
  return found
}

/** Names the key as people have changed it: that it was used changes nothing that they have seen. */
export function accessKeyVersion({ lastUsedAt: _used, ...key }: AccessKey): string {
  return contentVersion(key)
}

/** Whether the key may be used from now on. @throws NotFoundError; whatever `check` throws. */
export async function setAccessKeyStatus(
  store: Store,
  accessKeyId: string,
  status: AccessKey['status'],
  check: VersionCheck = anyVersion,
): Promise<Versioned<AccessKey>> {
  await findAccessKey(store, accessKeyId)
  return mutate(store, 'accessKey', { id: accessKeyId }, (key) => {
    check(accessKeyVersion(key))
    return key.status === status ? key : { ...key, status }
  })
}

/** Removes a key for good. @throws NotFoundError; whatever `check` throws. */
export async function deleteAccessKey(
  store: Store,
  accessKeyId: string,
  check: VersionCheck = anyVersion,
): Promise<void> {
  await findAccessKey(store, accessKeyId)
  const key = { id: accessKeyId }
  await removeChecked(store, 'accessKey', key, check, ({ value }) => accessKeyVersion(value))
}

/**
 * Makes the key that the operator has chosen, for administrators and everything. Another secret takes the place of the one before and opens
 * the key again; the same one leaves a key alone that was disabled meanwhile, so that a restart brings back nothing that was taken away.
 */
export async function ensurePresetAccessKey(
  { store, clock, secretBox }: Pick<Services, 'store' | 'clock' | 'secretBox'>,
  { accessKeyId, secretAccessKey }: PresetAccessKey,
): Promise<void> {
  const key = { id: accessKeyId }
  const fresh: AccessKey = {
    accessKeyId,
    sealedSecret: secretBox.seal(secretAccessKey, accessKeyId),
    name: 'preset',
    role: 'admin',
    scopes: ['*'],
    status: 'ACTIVE',
    createdAt: clock().toISOString(),
    createdBy: 'REHOST_ACCESS_KEY_ID',
  }
  const hasSecret = ({ sealedSecret }: AccessKey): boolean => {
    try {
      return secretBox.unseal(sealedSecret, accessKeyId) === secretAccessKey
    } catch {
      // Sealed with a key that is gone: the operator tells the secret anew.
      return false
    }
  }
  const known = await store.get('accessKey', key)
  if (known !== undefined && hasSecret(known.value)) return
  try {
    if (known === undefined) await store.create('accessKey', key, fresh)
    else await store.replace('accessKey', key, known.revision, fresh)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    // Another gateway starts at the same moment, with the same setting.
  }
}

/** Notes that the key was used, when it has not been noted for an hour. Never fails: the call that it was used for goes on. */
export async function noteAccessKeyUse(
  { store, clock, log }: Pick<Services, 'store' | 'clock' | 'log'>,
  used: AccessKey,
): Promise<void> {
  const id = used.accessKeyId
  const now = clock()
  const isNoted = ({ lastUsedAt }: AccessKey): boolean =>
    lastUsedAt !== undefined && now.getTime() - Date.parse(lastUsedAt) < usedNotedMs
  if (isNoted(used)) return
  try {
    await mutate(store, 'accessKey', { id }, (key) =>
      isNoted(key) ? key : { ...key, lastUsedAt: now.toISOString() },
    )
  } catch (error) {
    // One that is deleted at this moment needs no note.
    if (!(error instanceof NotFoundError))
      log.warn({ accessKeyId: id, error: errorMessage(error) }, 'Cannot note that an access key was used')
  }
}
