import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import { freePorts, until } from '../fixtures/waiting.ts'

const root = join(import.meta.dirname, '../..')
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-interrupted-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

/** Ctrl-C goes to every process of the terminal, and npm and the shell before the demonstration send it on once more. */
it('leaves nothing of a demonstration that is broken off while it builds its server and its service is up', async () => {
  const [http = 0, agent = 0, replication = 0, dynamodb = 0] = await freePorts(4)
  await mkdir(join(folder, 'tmp'))
  const demo = spawn(join(root, 'bin/rehost'), ['demo', '--once', '--json', join(folder, 'summary.json')], {
    env: {
      ...process.env,
      TMPDIR: join(folder, 'tmp'),
      REHOST_DATA_DIR: join(folder, 'data'),
      REHOST_HTTP_PORT: String(http),
      REHOST_AGENT_PORT: String(agent),
      REHOST_REPLICATION_PORT: String(replication),
      REHOST_DYNAMODB_PORT: String(dynamodb),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  for (const stream of [demo.stdout, demo.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
  const closed = once(demo, 'close') as Promise<[number | null]>
  await until('the service is up', async () => said.includes('✔ start the service'), 300_000)
  await until('Debian is being installed', async () => (await processLeftovers(folder)).some(isInstaller))
  expect((await fetch(`http://127.0.0.1:${http}/readyz`)).status).toBe(200)

  for (let signals = 0; signals < 2; signals++) process.kill(-(demo.pid ?? 0), 'SIGINT')

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
