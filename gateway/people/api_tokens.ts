/**
 * Tokens for programs: `rehost_…`, shown once, kept as SHA-256.
 * @module
 */
import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { ApiToken } from '../../domain/enrolment.ts'
import type { RandomBytes } from '../../domain/ids.ts'
import type { Store } from '../../store/store.ts'
import type { Role } from './accounts.ts'
import { newSecret, sha256 } from '../secrets.ts'

/** How every token begins, so that scanners for leaked secrets find it. */
export const apiTokenPrefix = 'rehost_'

/** What may be asked for. */
export const apiTokenSchema = z.object({
  name: z.string().trim().min(1).max(64),
  role: z.enum(['viewer', 'operator', 'admin']),
})

/** Makes a token. Its secret cannot be shown again. */
export async function createApiToken(
  store: Store,
  token: { name: string; role: Role },
  { clock, random }: { clock: () => Date; random: RandomBytes },
): Promise<{ secret: string; record: ApiToken }> {
  const secret = newSecret(apiTokenPrefix, random)
  const tokenSha256 = sha256(secret)
  const record = { tokenSha256, name: token.name, role: token.role, createdAt: clock().toISOString() }
  await store.create('apiToken', { id: tokenSha256 }, record)
  return { secret, record }
}

/** The token's record, if it exists. */
export async function findApiToken(store: Store, secret: string): Promise<ApiToken | undefined> {
  if (!secret.startsWith(apiTokenPrefix)) return undefined
  return (await store.get('apiToken', { id: sha256(secret) }))?.value
}

/**
 * Leaves a token for the command line in `file`, readable by its owner alone; keeps one that is there and still known to the store.
 */
export async function ensureCliToken(
  store: Store,
  file: string,
  outside: { clock: () => Date; random: RandomBytes },
): Promise<void> {
  const known = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  })
  if ((await findApiToken(store, known.trim())) !== undefined) return
  const { secret } = await createApiToken(
    store,
    { name: 'command line on this machine', role: 'admin' },
    outside,
  )
  const handle = await open(file, 'w', 0o600)
  try {
    await handle.chmod(0o600)
    await handle.writeFile(`${secret}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
