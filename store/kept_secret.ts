/**
 * Secrets that an installation makes for itself and keeps in its data folder, each in a file of its own.
 * @module
 */
import { link, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * The secret in `file`, readable by its owner alone. It is made by `make` unless a start before this one, or one at the same moment, has
 * left one; either way it is whole and on the disk when this returns.
 */
export async function keptSecret(file: string, make: () => string): Promise<string> {
  const folder = dirname(file)
  const draft = await mkdtemp(join(folder, `${basename(file)}-new-`))
  try {
    await writeSecretFile(join(draft, 'secret'), make())
    // Of two racing starts one wins, and a file that is there is never half written.
    await link(join(draft, 'secret'), file)
    await syncFolder(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return (await readFile(file, 'utf8')).trim()
}

/** Writes a new file that its owner alone can read; it is on the disk when this returns. @throws when it is there already. */
export async function writeSecretFile(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(`${text}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
