/**
 * The agent's files: its certificate and key in one file, so that they always fit together, and which volumes are copied.
 * @module
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import type { SyncMemory } from './sync/sync_memory.ts'
import { errorMessage, PermanentError } from '../domain/errors.ts'
import { sealFileName } from './reboot/seal_file.ts'

const identitySchema = z.object({
  sourceServerId: z.string(),
  gatewayUrl: z.string(),
  certificatePem: z.string(),
  keyPem: z.string(),
  caPem: z.string(),
})

/** Who this agent is: given by the gateway at enrolment. */
export type Identity = z.infer<typeof identitySchema>

const memorySchema = z.object({ completeVolumeIds: z.array(z.string()) })

const identityName = 'identity.json'
const memoryName = 'replication.json'

/** A file on its way to its place. */
function temporaryOf(path: string): string {
  return `${path}.new`
}

/** Names of everything that the state directory may hold of the agent, but for its native part. */
export const stateFileNames: readonly string[] = [
  ...[identityName, memoryName].flatMap((name) => [name, temporaryOf(name)]),
  sealFileName,
]

/** Text of a file; undefined when there is none. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes a file so that after a crash either the old or the new text is there, whole. */
export async function writeAtomically(path: string, text: string, mode: number): Promise<void> {
  const temporary = temporaryOf(path)
  const handle = await open(temporary, 'w', mode)
  try {
    // The mode of an existing file would stay as it was.
    await handle.chmod(mode)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, path)
  const folder = await open(dirname(path))
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The state directory. */
export class StateFiles {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /** Makes the directory, for its owner alone. One that is there already is the operator's and stays as it is. */
  async prepare(): Promise<void> {
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw new PermanentError(
        `Cannot make the state directory ${this.directory}; run as root, or name another with --state-dir`,
        { cause: error },
      )
    }
  }

  /**
   * Who this agent is; undefined before enrolment.
   * @throws PermanentError when the file is damaged.
   */
  async readIdentity(): Promise<Identity | undefined> {
    const path = join(this.directory, identityName)
    const text = await readIfThere(path)
    if (text === undefined) return undefined
    try {
      return identitySchema.parse(JSON.parse(text))
    } catch (error) {
      throw new PermanentError(
        `Cannot read ${path}: it is damaged; install the agent again with a new command from the add-server page`,
        { cause: error },
      )
    }
  }

  /** Stores certificate and key, readable by their owner alone. */
  writeIdentity(identity: Identity): Promise<void> {
    return writeAtomically(
      join(this.directory, identityName),
      `${JSON.stringify(identity, null, 2)}\n`,
      0o600,
    )
  }

  /** Which volumes hold a whole copy. A damaged file only costs a comparison: it counts as empty, and `warn` is told. */
  async openMemory(warn: (message: string) => void): Promise<SyncMemory> {
    const path = join(this.directory, memoryName)
    const complete = new Set<string>()
    try {
      const text = await readIfThere(path)
      if (text !== undefined)
        for (const id of memorySchema.parse(JSON.parse(text)).completeVolumeIds) complete.add(id)
    } catch (error) {
      warn(`Cannot read ${path}, so every disk counts as not copied yet: ${errorMessage(error)}`)
    }
    return {
      isComplete: (volumeId) => complete.has(volumeId),
      setComplete: async (volumeId, isComplete) => {
        if (isComplete) complete.add(volumeId)
        else complete.delete(volumeId)
        await writeAtomically(path, `${JSON.stringify({ completeVolumeIds: [...complete] })}\n`, 0o600)
      },
    }
  }
}
