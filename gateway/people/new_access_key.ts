/**
 * Making access keys: what may be asked for, and that each can be used for something. Apart from what is done with keys that there are, as it knows all
 * operations, and some of those know of keys.
 * @module
 */
import { z } from 'zod'
import type { AccessKey } from '../../domain/enrolment.ts'
import type { Services } from '../services.ts'
import {
  accessKeyLimits,
  isInScope,
  isScope,
  newAccessKeyId,
  roleForOperation,
} from '../../domain/access_key.ts'
import { InvalidInputError } from '../../domain/errors.ts'
import { operations } from '../mgn/operations.ts'
import { newSecret } from '../secrets.ts'
import { hasRole } from './accounts.ts'
import { apiTokenSchema } from './api_tokens.ts'

/** How every secret begins that Rehost makes, so that scanners for leaked secrets find it. */
const secretAccessKeyPrefix = 'rhsk_'

const dayMs = 86_400_000

/** What may be asked for. */
export const accessKeySchema = z.strictObject({
  ...apiTokenSchema.shape,
  scopes: z
    .array(
      z.string().refine(isScope, 'it is *, an operation such as mgn:StartTest, or several as mgn:Describe*'),
    )
    .min(1)
    .max(accessKeyLimits.maxScopes)
    .default(['*']),
  /** For ever when left out. */
  lifetimeDays: z.number().min(0.01).max(accessKeyLimits.maxLifetimeDays).optional(),
})

/** What is needed to make a key. */
type KeyMaker = Pick<Services, 'store' | 'clock' | 'random' | 'secretBox'>

/** @throws InvalidInputError when a key of this role and these scopes could call nothing: whoever is given it would only find out later. */
function requireUse({ role, scopes }: Pick<AccessKey, 'role' | 'scopes'>): void {
  const named = operations.filter(({ name }) => isInScope(scopes, name))
  if (named.some(({ name }) => hasRole(role, roleForOperation(name)))) return
  const [first] = named
  throw new InvalidInputError(
    'scopes',
    first === undefined
      ? `The key could call nothing: no operation is named ${scopes.join(' or ')}; name some such as mgn:StartTest or mgn:Describe*`
      : `The key could call nothing: its role is ${role}, and mgn:${first.name} needs ${roleForOperation(first.name)}; choose that role, or other operations`,
  )
}

/** Makes a key and returns its secret, which cannot be shown again. @throws InvalidInputError for one that could call nothing. */
export async function createAccessKey(
  { store, clock, random, secretBox }: KeyMaker,
  { name, role, scopes, lifetimeDays }: z.infer<typeof accessKeySchema>,
  createdBy: string,
): Promise<{ record: AccessKey; secretAccessKey: string }> {
  requireUse({ role, scopes })
  const accessKeyId = newAccessKeyId(random)
  const secretAccessKey = newSecret(secretAccessKeyPrefix, random)
  const now = clock()
  const record: AccessKey = {
    accessKeyId,
    sealedSecret: secretBox.seal(secretAccessKey, accessKeyId),
    name,
    role,
    scopes: [...new Set(scopes)],
    status: 'ACTIVE',
    createdAt: now.toISOString(),
    createdBy,
    ...(lifetimeDays === undefined
      ? {}
      : { expiresAt: new Date(now.getTime() + lifetimeDays * dayMs).toISOString() }),
  }
  await store.create('accessKey', { id: accessKeyId }, record)
  return { record, secretAccessKey }
}
