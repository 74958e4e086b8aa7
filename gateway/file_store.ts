/**
 * Files that programs exchange with Rehost by bucket and key: inventories to import, and exports. In a folder, a subfolder for each bucket.
 * @module
 */
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join, normalize, sep } from 'node:path'
import { InvalidInputError } from '../domain/errors.ts'

/** No inventory is larger: 10,000 servers are some megabytes. */
const maxFileBytes = 16 * 1024 * 1024

/** Files by bucket and key. */
export interface FileStore {
  /** @throws InvalidInputError for what is not there, is too large or names no file of the bucket. */
  read(bucket: string, key: string): Promise<Uint8Array>
  /** Writes the file as a whole or not at all. @throws InvalidInputError for what names no file of the bucket. */
  write(bucket: string, key: string, bytes: Uint8Array): Promise<void>
}

/** Files in a folder of this host. */
export class FolderFiles implements FileStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async read(bucket: string, key: string): Promise<Uint8Array> {
    const path = this.#pathOf(bucket, key)
    const found = await stat(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (found?.isFile() !== true)
      throw new InvalidInputError('s3Key', `There is no file ${key} in bucket ${bucket}: put it at ${path}`)
    if (found.size > maxFileBytes)
      throw new InvalidInputError(
        's3Key',
        `File ${key} has ${found.size} bytes; at most ${maxFileBytes} are read`,
      )
    return readFile(path)
  }

  async write(bucket: string, key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(bucket, key)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // Two that write the same file at once don't write into each other's.
    const draft = `${path}.${crypto.randomUUID()}.new`
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, path)
  }

  /** @throws InvalidInputError for a key that leads out of its bucket. */
  #pathOf(bucket: string, key: string): string {
    const folder = join(this.#folder, bucket)
    const path = join(folder, normalize(key))
    const isBucket = /^[a-zA-Z0-9._-]{1,255}$/.test(bucket) && !/^\.+$/.test(bucket)
    if (!isBucket || !path.startsWith(folder + sep) || key.includes('\0'))
      throw new InvalidInputError('s3Key', `${bucket}/${key} names no file of a bucket`)
    return path
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
