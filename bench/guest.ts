/**
 * A real Debian disk: the demonstration's server without the data that it serves.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildGuest } from '../bin/demo/guest.ts'
import { run } from './command.ts'

/** Size of the disk; most of it is empty. */
export const guestSizeBytes = 3 * 1024 ** 3

/** Where {@link buildBenchGuest} leaves the disk. */
export function benchGuestPath(root: string): string {
  return join(root, '.rehost/cache/bench-guest.raw')
}

/** Builds it, or takes the one of earlier today. Needs the network, for its packages. */
export async function buildBenchGuest(root: string, say: (line: string) => void): Promise<void> {
  const workDir = await mkdtemp(join(tmpdir(), 'rehost-bench-guest-'))
  try {
    const built = await buildGuest({
      path: join(workDir, 'guest.raw'),
      cacheDir: join(root, '.rehost/cache'),
      workDir,
      sizeBytes: guestSizeBytes,
      dataBytes: 0,
      hostname: 'bench-01',
      isFresh: false,
      log: say,
      signal: new AbortController().signal,
    })
    await run('cp', ['--sparse=always', built, benchGuestPath(root)])
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}
