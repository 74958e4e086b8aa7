/**
 * Files in buckets of S3, or of anything that speaks its protocol.
 * @module
 */
import { GetObjectCommand, PutObjectCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { InvalidInputError } from '../domain/errors.ts'
import type { FilePlace, FileStore } from './file_store.ts'
import { maxFileBytes, requireBucket, tooLarge } from './file_store.ts'

/** Where the buckets are. Credentials come from the SDK's own chain (environment, profile, instance role). */
export interface S3Place {
  region: string
  /** Left out for S3 itself. */
  endpoint?: string
  /** Buckets stand in the path of a URL, not in the host's name. */
  isPathStyle: boolean
}

/** The call that asked for the file waits for it, and its client for no longer than a minute. */
const deadlineMs = 30_000
/** Tries of one request, with the SDK's own back-off. */
const maxAttempts = 3

/** Why a store that answered refuses, where its own words don't say what to do. */
const whatToDo: Readonly<Record<string, string>> = {
  AccessDenied: 'let the credentials of the gateway read and write there, and check whose bucket it is',
  InvalidAccessKeyId: 'check the credentials of the gateway',
  SignatureDoesNotMatch: 'check the credentials of the gateway',
  ExpiredToken: 'renew the credentials of the gateway',
  PermanentRedirect: 'the bucket is in another region: set REHOST_S3_REGION',
  AuthorizationHeaderMalformed: 'the bucket is in another region: set REHOST_S3_REGION',
}

/** The files. */
export class S3Files implements FileStore {
  readonly #client: S3Client
  readonly #where: string
  readonly #deadlineMs: number

  constructor(place: S3Place, waitMs = deadlineMs) {
    this.#where = place.endpoint ?? `S3 in ${place.region}`
    this.#deadlineMs = waitMs
    this.#client = new S3Client({
      region: place.region,
      forcePathStyle: place.isPathStyle,
      maxAttempts,
      // Stores of others need not know the checksums that S3 has taken to since; TLS and signature cover the bytes.
      ...(place.endpoint === undefined
        ? {}
        : {
            endpoint: place.endpoint,
            requestChecksumCalculation: 'WHEN_REQUIRED' as const,
            responseChecksumValidation: 'WHEN_REQUIRED' as const,
          }),
    })
  }

  read(place: FilePlace): Promise<Uint8Array> {
    return this.#ask('read', place, async (abortSignal) => {
      const { Body, ContentLength = 0 } = await this.#client.send(new GetObjectCommand(requestOf(place)), {
        abortSignal,
      })
      if (Body === undefined) return new Uint8Array()
      const stream = Body.transformToWebStream()
      if (ContentLength > maxFileBytes) {
        await stream.cancel()
        throw tooLarge(place, ContentLength)
      }
      return readAll(stream, place, abortSignal)
    })
  }

  async write(place: FilePlace, bytes: Uint8Array): Promise<void> {
    // An object is there with its last byte or not at all.
    await this.#ask('write', place, (abortSignal) =>
      this.#client.send(
        new PutObjectCommand({
          ...requestOf(place),
          Body: bytes,
          ContentLength: bytes.byteLength,
          ContentType: 'text/csv; charset=utf-8',
        }),
        { abortSignal },
      ),
    )
  }

  /** Ends the connections. */
  close(): void {
    this.#client.destroy()
  }

  async #ask<T>(
    what: 'read' | 'write',
    place: FilePlace,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    requireBucket(place.bucket)
    const signal = AbortSignal.timeout(this.#deadlineMs)
    try {
      return await ask(signal)
    } catch (error) {
      if (error instanceof InvalidInputError) throw error
      throw this.#inWords(what, place, signal.aborted ? signal.reason : error)
    }
  }

  #inWords(what: 'read' | 'write', { bucket, key }: FilePlace, error: unknown): Error {
    const options = { cause: error }
    const name = error instanceof Error ? error.name : ''
    if (name === 'NoSuchBucket')
      return new InvalidInputError('s3Bucket', `There is no bucket ${bucket} at ${this.#where}`)
    if (name === 'NoSuchKey')
      return new InvalidInputError('s3Key', `There is no file ${key} in bucket ${bucket} at ${this.#where}`)
    const cannot = `Cannot ${what} file ${key} of bucket ${bucket} at ${this.#where}`
    if (name === 'TimeoutError' || name === 'AbortError')
      return new Error(`${cannot}: no answer within ${this.#deadlineMs / 1000} s; ask again`, options)
    if (!(error instanceof S3ServiceException)) return new Error(cannot, options)
    const advice = whatToDo[name]
    return new Error(advice === undefined ? `${cannot} (${name})` : `${cannot} (${name}; ${advice})`, options)
  }
}

function requestOf({ bucket, key, bucketOwner }: FilePlace): {
  Bucket: string
  Key: string
  ExpectedBucketOwner?: string
} {
  return {
    Bucket: bucket,
    Key: key,
    ...(bucketOwner === undefined ? {} : { ExpectedBucketOwner: bucketOwner }),
  }
}

/** All bytes of a stream whose length nobody promised. @throws InvalidInputError when they are too many. */
async function readAll(
  stream: ReadableStream<Uint8Array>,
  place: FilePlace,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = stream.getReader()
  // An answer that stops in its middle ends the wait, too.
  const stop = () => void reader.cancel(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) return Buffer.concat(chunks)
      chunks.push(value)
      size += value.byteLength
      if (size > maxFileBytes) {
        await reader.cancel()
        throw tooLarge(place, size)
      }
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
