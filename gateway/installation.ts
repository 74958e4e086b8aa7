/**
 * What a start leaves in the data folder and the store: settings that workers read, the first password, the command line's token,
 * the access key that the operator has chosen.
 * @module
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store } from '../store/store.ts'
import type { Services } from './services.ts'
import { mutate } from '../store/mutate.ts'
import { RevisionConflictError } from '../store/store.ts'
import type { PresetAccessKey } from './people/access_keys.ts'
import { ensurePresetAccessKey } from './people/access_keys.ts'
import { ensureAdmin } from './people/accounts.ts'
import { ensureCliToken } from './people/api_tokens.ts'

/** Stores a setting under its name. */
export async function saveSetting(store: Store, name: string, value: string): Promise<void> {
  try {
    await store.create('setting', { id: name }, { name, value })
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    await mutate(store, 'setting', { id: name }, (known) => (known.value === value ? known : { name, value }))
  }
}

/** Writes what replication servers need for first contact, makes the administrator and the command line's token. */
export async function prepareInstallation(
  services: Pick<Services, 'store' | 'issuer' | 'installation' | 'clock' | 'random' | 'secretBox'>,
  options: { dataDir: string; adminPassword: string | undefined; accessKey?: PresetAccessKey | undefined },
): Promise<void> {
  const { store, issuer, installation } = services
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  await saveSetting(store, 'ca-certificate', issuer.caPem)
  await saveSetting(store, 'agent-url', installation.agentUrl)
  const firstSignIn = join(options.dataDir, 'first-sign-in')
  await ensureAdmin(store, firstSignIn, { ...services, preset: options.adminPassword })
  await ensureCliToken(store, join(options.dataDir, 'cli-token'), services)
  if (options.accessKey !== undefined) await ensurePresetAccessKey(services, options.accessKey)
}
