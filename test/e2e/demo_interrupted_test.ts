import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import { servicePlace } from '../fixtures/service_place.ts'
import { sendSignal } from '../fixtures/signals.ts'
import { until } from '../fixtures/waiting.ts'

const root = join(import.meta.dirname, '../..')
let folder: string
let demo: ChildProcess
let ended: Promise<unknown>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-interrupted-'))
})

afterEach(async () => {
  // Where a test has failed it may be under way.
  if (demo.exitCode === null) sendSignal(demo.pid, 'SIGINT', 'group')
  await ended
  await rm(folder, { recursive: true, force: true })
})

/** Ctrl-C goes to every process of the terminal, and npm and the shell before the demonstration send it on once more. */
it('leaves nothing of a demonstration that is broken off while it builds its server and its service is up', async () => {
  const place = await servicePlace()
  await mkdir(join(folder, 'tmp'))
  const child = spawn(join(root, 'bin/rehost'), ['demo', '--once', '--json', join(folder, 'summary.json')], {
    env: {
      ...process.env,
      TMPDIR: join(folder, 'tmp'),
      REHOST_DATA_DIR: join(folder, 'data'),
      ...place,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  demo = child
  const closed = once(child, 'close') as Promise<[number | null]>
  ended = closed
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
  const isUnderWay = async () =>
    said.includes('✔ start the service') && (await processLeftovers(folder)).some(isInstaller)
  await until('the service is up and Debian is being installed', isUnderWay, 300_000)
  expect((await fetch(`http://127.0.0.1:${place.REHOST_HTTP_PORT}/readyz`)).status).toBe(200)

  for (let signals = 0; signals < 2; signals++) sendSignal(child.pid, 'SIGINT', 'group')

  const [code] = await closed
  expect(code).toBe(1)
  expect(said).toMatch(/\nStopped by SIGINT\n$/)
  expect(await processLeftovers(folder)).toEqual([])
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(folder)
  expect((await readdir(folder, { recursive: true })).toSorted()).toEqual(['data', 'data/cache', 'tmp'])
})

function isInstaller(process: string): boolean {
  return process.includes('mmdebstrap')
}
