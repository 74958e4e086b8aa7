/**
 * Looks for what should be gone: processes that work on a data folder, and files of the staging area.
 * @module
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Folders of the local cloud that hold nothing once every migration is finalized. */
const stagingFolders = ['volumes', 'snapshots', 'images', 'replication-servers']

/** Names in `folder`; none when it does not exist. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

/** Volumes, snapshots, images and replication servers that are still there. */
export async function stagingLeftovers(dataDir: string): Promise<string[]> {
  const found: string[] = []
  for (const folder of stagingFolders) {
    for (const name of await namesIn(join(dataDir, 'cloud', folder))) found.push(`${folder}/${name}`)
  }
  return found
}

/** Processes, other than `except`, whose command line or environment names `dataDir`. */
export async function processLeftovers(dataDir: string, except: readonly number[] = []): Promise<string[]> {
  const found: string[] = []
  for (const name of await namesIn('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid || except.includes(pid)) continue
    // A process may end while it is being looked at: then it is not left over.
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (commandLine.includes(dataDir) || environment.includes(`REHOST_DATA_DIR=${dataDir}\0`)) {
      found.push(`process ${pid} (${commandLine.split('\0').slice(0, 3).join(' ').trim()})`)
    }
  }
  return found
}
