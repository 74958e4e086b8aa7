/**
 * What writes to a source while it is replicated: files on a mounted file system, and blocks on a bare device.
 * @module
 */
import { execFile } from 'node:child_process'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { randomBytesFrom, randomInt } from '../../fixtures/seed.ts'

const run = promisify(execFile)

/** Stops a writer; resolves when its last write is durable. */
export type StopWriting = () => Promise<void>

/** Runs `write` again and again. */
function repeat(write: (count: number) => Promise<void>): StopWriting {
  const stopping = new AbortController()
  const work = (async () => {
    for (let count = 0; !stopping.signal.aborted; count++) await write(count)
  })()
  return async () => {
    stopping.abort()
    await work
  }
}

/** Writes and replaces files in `folder`, some of them flushed. */
export function writeFiles(folder: string, random: () => number): StopWriting {
  return repeat(async (count) => {
    const bytes = randomBytesFrom(random, randomInt(random, 1, 300_000))
    await writeFile(join(folder, `file-${randomInt(random, 0, 40)}`), bytes)
    if (count % 10 === 0) await run('sync', ['-f', folder])
    await sleep(2)
  })
}

/** Writes pieces of 512 bytes to 64 KiB anywhere on a device or file, each flushed. */
export function writeBlocks(path: string, sizeBytes: number, random: () => number, restMs = 2): StopWriting {
  const opened = open(path, 'r+')
  const stop = repeat(async () => {
    const handle = await opened
    const length = 512 * randomInt(random, 1, 128)
    const offset = 512 * randomInt(random, 0, (sizeBytes - length) / 512)
    const bytes = random() < 0.2 ? Buffer.alloc(length) : randomBytesFrom(random, length)
    await handle.write(bytes, 0, length, offset)
    await handle.datasync()
    await sleep(restMs)
  })
  return async () => {
    await stop()
    await (await opened).close()
  }
}
