/**
 * One at a time per thing, across processes. The lock is an abstract Unix socket: the kernel frees it the moment its holder dies,
 * so there is no stale lock file to judge, and nothing on the disk to clean up.
 * @module
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSystemError } from './files.ts'

const retryMs = 25
/** Longer than the copy of any sensible disk; a holder that needs more is reported rather than waited for without end. */
const maxWaitMs = 30 * 60_000

/** A lock that this process has until it releases it or ends. */
export interface HeldLock {
  release(): Promise<void>
}

/** Runs `work` while no one else on this host holds the lock named `name`. @throws Error when it is not free in half an hour. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const lock = await take(name)
  try {
    return await work()
  } finally {
    await lock.release()
  }
}

/** Takes the lock named `name` if nobody has it. Undefined if somebody has, this process included. */
export async function tryLock(name: string): Promise<HeldLock | undefined> {
  // A leading zero byte puts the name into Linux's abstract namespace; the hash keeps it within the 107 bytes a name may have.
  const address = `\0rehost-${createHash('sha256').update(name).digest('hex')}`
  const server = createServer((connection) => connection.destroy())
  server.unref()
  try {
    server.listen(address)
    await once(server, 'listening')
  } catch (error) {
    if (isSystemError(error, 'EADDRINUSE')) return undefined
    throw error
  }
  return {
    release: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

async function take(name: string): Promise<HeldLock> {
  const deadline = performance.now() + maxWaitMs
  for (;;) {
    const lock = await tryLock(name)
    if (lock !== undefined) return lock
    if (performance.now() > deadline)
      throw new Error(`Cannot work on ${name}: another process has held it for half an hour`)
    await sleep(retryMs)
  }
}
