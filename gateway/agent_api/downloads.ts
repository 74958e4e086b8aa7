/**
 * What an installer downloads: the agent as one gzipped file, its checksum, and the script that fetches both.
 * @module
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { agentDownloadName } from '../../wire/install_script.ts'
import { fileStream } from '../file_stream.ts'
import { Refusal } from '../problem.ts'

/** The agent as built. */
export interface AgentDownloads {
  /** SHA-256 of the gzipped file, hexadecimal. @throws Refusal 503 when the agent was not built. */
  sha256(): Promise<string>
  /** The gzipped file. @throws Refusal 503 when the agent was not built. */
  file(): Promise<{ body: ReadableStream<Uint8Array>; sizeBytes: number }>
}

/** The agent in a folder, as `npm run build:agent` leaves it: the file, and `<file>.sha256` beside it. */
export class FolderDownloads implements AgentDownloads {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async sha256(): Promise<string> {
    const file = join(this.#folder, `${agentDownloadName}.sha256`)
    const text = await readFile(file, 'utf8').catch((error: unknown) => refuseUnbuilt(file, error))
    const [digest = ''] = text.trim().split(/\s+/)
    if (!/^[0-9a-f]{64}$/.test(digest))
      return refuseUnbuilt(file, new Error(`Cannot read a SHA-256 in ${file}`))
    return digest
  }

  async file(): Promise<{ body: ReadableStream<Uint8Array>; sizeBytes: number }> {
    const file = join(this.#folder, agentDownloadName)
    const { size } = await stat(file).catch((error: unknown) => refuseUnbuilt(file, error))
    return { body: fileStream(file, size), sizeBytes: size }
  }
}

function refuseUnbuilt(file: string, cause: unknown): never {
  throw new Refusal(
    503,
    'unavailable',
    `The agent has not been built: ${file} cannot be read. Run npm run build:agent where the gateway runs`,
    { cause },
  )
}
