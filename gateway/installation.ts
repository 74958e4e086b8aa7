/**
 * What a start leaves in the data folder and the store: settings that workers read, the first password, the command line's token,
 * the access key that the operator has chosen.
 * @module
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store } from '../store/store.ts'
import type { Services } from './services.ts'
import { RevisionConflictError } from '../store/store.ts'
import type { PresetAccessKey } from './people/access_keys.ts'
import { ensurePresetAccessKey } from './people/access_keys.ts'
import { ensureAdmin } from './people/accounts.ts'
import { ensureCliToken } from './people/api_tokens.ts'
import type { VersionCheck } from './versions.ts'
import { anyVersion, revisionVersion } from './versions.ts'

/** How often another gateway may be faster. */
const maxTries = 20

/** Stores a setting under its name; `check` sees the revision that is there, 0 for none. @throws whatever `check` throws. */
export async function saveSetting(
  store: Store,
  name: string,
  value: string,
  check: VersionCheck = anyVersion,
): Promise<number> {
  const key = { id: name }
  for (let attempt = 1; ; attempt++) {
    const known = await store.get('setting', key)
    check(revisionVersion(known?.revision ?? 0))
    if (known?.value.value === value) return known.revision
    try {
      return known === undefined
        ? await store.create('setting', key, { name, value })
        : await store.replace('setting', key, known.revision, { name, value })
    } catch (error) {
      if (!(error instanceof RevisionConflictError) || attempt >= maxTries) throw error
    }
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
