import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HashThreads } from '../../../agent/disk/hash_threads.ts'
import { startHashThread } from '../../../agent/disk/start_hash_thread.ts'
import { LineLog } from '../../../agent/log.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

/** Fifty blocks and a short one. */
const sizeBytes = 50 * blockSizeBytes + 1536

describe('HashThreads', () => {
  let folder: string
  let file: FileHandle
  let bytes: Uint8Array
  let clock: FakeClock
  let lines: string[]
  let threads: HashThreads

  const make = (start = startHashThread): HashThreads => {
    const log = new LineLog({ write: (line: string) => lines.push(line) }, () => 0)
    return new HashThreads({ count: 2, start, clock, log })
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rehost-hash-threads-'))
    bytes = randomBytesFrom(seededRandom(seedFor('hash threads')), sizeBytes)
    bytes.fill(0, 3 * blockSizeBytes, 4 * blockSizeBytes)
    await writeFile(join(folder, 'disk'), bytes)
    file = await open(join(folder, 'disk'))
    clock = new FakeClock()
    lines = []
    threads = make()
  })

  afterEach(async () => {
    await threads.close()
    await file.close()
    await rm(folder, { recursive: true })
  })

  it('gives the hashes of every block, in whatever order jobs are done', async () => {
    const starts = [32, 0, 48, 16]
    const found = await Promise.all(
      starts.map((block) => {
        const offset = block * blockSizeBytes
        return threads.hash(file.fd, offset, Math.min(16 * blockSizeBytes, sizeBytes - offset))
      }),
    )
    const expected = starts.map((block) =>
      blockHashes(bytes.subarray(block * blockSizeBytes, (block + 16) * blockSizeBytes)),
    )
    expect(found).toEqual(expected)
    expect(threads.running).toBe(2)
    expect(lines).toEqual([])
  })

  it('says that it could not read where the file ends, or is closed', async () => {
    expect(await threads.hash(file.fd, 48 * blockSizeBytes, 4 * blockSizeBytes)).toBeUndefined()
    expect(await threads.hash(9999, 0, blockSizeBytes)).toBeUndefined()
    expect(await threads.hash(file.fd, 0, blockSizeBytes)).toEqual(
      blockHashes(bytes.subarray(0, blockSizeBytes)),
    )
  })

  it('answers those who wait when it is closed, and starts anew for the next', async () => {
    const waiting = Array.from({ length: 8 }, () => threads.hash(file.fd, 0, 16 * blockSizeBytes))
    await threads.close()
    const whole = blockHashes(bytes.subarray(0, 16 * blockSizeBytes))
    for (const hashes of await Promise.all(waiting)) expect([undefined, whole]).toContainEqual(hashes)
    expect(threads.running).toBe(0)
    expect(await threads.hash(file.fd, 0, 16 * blockSizeBytes)).toEqual(whole)
  })

  it('leaves hashing to its caller for a while when no thread can be started', async () => {
    let attempts = 0
    const failing = make(() => {
      attempts += 1
      throw new Error('No more threads')
    })
    for (let count = 0; count < 5; count++)
      expect(await failing.hash(file.fd, 0, blockSizeBytes)).toBeUndefined()
    expect(attempts).toBe(1)
    expect(lines.join()).toContain('No more threads')
    clock.now += 60_000
    expect(await failing.hash(file.fd, 0, blockSizeBytes)).toBeUndefined()
    expect(attempts).toBe(2)
  })
})
