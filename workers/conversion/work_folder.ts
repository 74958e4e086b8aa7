/**
 * Where a worker keeps the files of its conversions: a folder of its own, so that those of a worker that was killed can be told from those
 * of one that lives, and are removed by the next one that starts.
 * @module
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { unlessMissing } from '../../cloud/qemu/files.ts'
import { errorMessage } from '../../domain/errors.ts'
import type { Owner } from '../owner.ts'

/** No conversion takes so long: a folder whose owner cannot be asked, as it worked before this host was started, is given up then. */
const givenUpAfterMs = 86_400_000

/** What the tidying is done with. */
export interface WorkFolderContext {
  owner: Owner
  now: Date
  warn: (message: string) => void
}

/** Makes the folder of `owner` below `parent` and removes those of workers that are gone, as far as that works. Its path. */
export async function ownWorkFolder(parent: string, context: WorkFolderContext): Promise<string> {
  const folder = join(parent, folderName(context.owner.name))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(parent)) {
    const other = join(parent, name)
    if (other === folder) continue
    try {
      if (await isGivenUp(other, name, context)) await rm(other, { recursive: true, force: true })
    } catch (error) {
      // It is in nobody's way, and the next worker tries again.
      context.warn(`Cannot remove ${other}, which a killed worker left: ${errorMessage(error)}`)
    }
  }
  return folder
}

async function isGivenUp(folder: string, name: string, { owner, now }: WorkFolderContext): Promise<boolean> {
  const fate = await owner.fateOf(ownerName(name))
  return fate === 'GONE' || (fate === 'UNKNOWN' && (await isOld(folder, now)))
}

async function isOld(folder: string, now: Date): Promise<boolean> {
  const stats = await unlessMissing(stat(folder))
  return stats !== undefined && now.getTime() - stats.mtimeMs > givenUpAfterMs
}

/** A worker is called `host/process`. */
function folderName(owner: string): string {
  return owner.replace('/', '_')
}

function ownerName(folder: string): string {
  return folder.replace('_', '/')
}
