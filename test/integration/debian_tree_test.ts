/**
 * Installing Debian into a folder, broken off in the middle.
 * @module
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { installDebian } from '../../bin/demo/debian_tree.ts'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import { until } from '../fixtures/waiting.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-tree-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

it('leaves no process and no mount, and what this machine shares with it untouched, when it is broken off', async () => {
  const root = join(folder, 'root')
  const shared = `/dev/shm/rehost-${process.pid}`
  await writeFile(shared, 'of somebody else')
  try {
    const abort = new AbortController()
    const installing = installDebian({
      root,
      args: ['--variant=essential'],
      logFile: join(folder, 'log'),
      signal: abort.signal,
    })
    const ended = installing.then(
      () => 'installed',
      (error: unknown) => error,
    )
    // By then packages are being unpacked and the folder has its mounts.
    await until('packages are there', () => Promise.resolve(existsSync(join(root, 'usr/bin'))), 120_000, 20)
    const reason = new Error('Stopped by SIGINT')
    abort.abort(reason)
    expect(await ended).toBe(reason)
    expect(await processLeftovers(root)).toEqual([])
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toContain(root)
    await rm(root, { recursive: true })
    expect(await readFile(shared, 'utf8')).toBe('of somebody else')
  } finally {
    await rm(shared, { force: true })
  }
}, 180_000)
