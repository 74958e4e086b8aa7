/**
 * Files that programs exchange with Rehost by bucket and key: inventories to import, and exports. In a folder, a subfolder for each bucket.
 * @module
 */
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, normalize, sep } from 'node:path'
import { InvalidInputError } from '../domain/errors.ts'

/** No inventory is larger: 10,000 servers are some megabytes. */
export const maxFileBytes = 16 * 1024 * 1024

/** Where a file is. */
export interface FilePlace {
  bucket: string
  key: string
  /** The account that the bucket must belong to, where the caller says so. */
  bucketOwner?: string
}

/** Files by bucket and key. A folder or an S3-compatible endpoint; one contract suite runs over both. */
export interface FileStore {
  /**
   * @throws InvalidInputError for what is not there, is too large or names no file of a bucket; another Error, in words for the operator, for what the
   * store denies or does not answer.
   */
  read(place: FilePlace): Promise<Uint8Array>
  /** Writes the file as a whole or not at all. @throws as {@link FileStore.read}. */
  write(place: FilePlace, bytes: Uint8Array): Promise<void>
}

/** @throws InvalidInputError for a bucket whose name could stand for another place. */
export function requireBucket(bucket: string): void {
  if (!/^[a-zA-Z0-9._-]{1,255}$/.test(bucket) || /^\.+$/.test(bucket))
    throw new InvalidInputError('s3Bucket', `${bucket} is no name of a bucket`)
}

/** The refusal of a file with more bytes than are read. */
export function tooLarge({ bucket, key }: FilePlace, size: number): InvalidInputError {
  return new InvalidInputError(
    's3Key',
    `File ${key} of bucket ${bucket} has ${size} bytes or more; at most ${maxFileBytes} are read`,
  )
}

/** Files in a folder of this host, all of whose buckets belong to this installation's account. */
export class FolderFiles implements FileStore {
  readonly #folder: string
  readonly #accountId: string

  constructor(folder: string, accountId: string) {
    this.#folder = folder
    this.#accountId = accountId
  }

  async read(place: FilePlace): Promise<Uint8Array> {
    const path = this.#pathOf(place)
    const found = await stat(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (found?.isFile() !== true)
      throw new InvalidInputError(
        's3Key',
        `There is no file ${place.key} in bucket ${place.bucket}: put it at ${path}`,
      )
    if (found.size > maxFileBytes) throw tooLarge(place, found.size)
    return readFile(path)
  }

  async write(place: FilePlace, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(place)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // Two that write the same file at once don't write into each other's.
    const draft = `${path}.${crypto.randomUUID()}.new`
    try {
      const handle = await open(draft, 'wx', 0o600)
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(draft, path)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  }

  /** @throws InvalidInputError for a key that leads out of its bucket, and for a bucket of another account. */
  #pathOf({ bucket, key, bucketOwner = this.#accountId }: FilePlace): string {
    requireBucket(bucket)
    const folder = join(this.#folder, bucket)
    const path = join(folder, normalize(key))
    if (!path.startsWith(folder + sep) || key.includes('\0'))
      throw new InvalidInputError('s3Key', `${bucket}/${key} names no file of a bucket`)
    if (bucketOwner !== this.#accountId)
      throw new InvalidInputError(
        's3BucketOwner',
        `Bucket ${bucket} is a folder of account ${this.#accountId}, not of ${bucketOwner}`,
      )
    return path
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
