import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { TestGateway } from '../gateway/support.ts'
import { testGateway } from '../gateway/support.ts'

const rehost = join(import.meta.dirname, '../../../bin/rehost')

let gateway: TestGateway
let server: ReturnType<typeof createAdaptorServer>
let environment: NodeJS.ProcessEnv
let folder: string

beforeEach(async () => {
  gateway = await testGateway()
  folder = await mkdtemp(join(tmpdir(), 'rehost-audit-'))
  server = createAdaptorServer({ fetch: (request, env) => gateway.app.fetch(request, env) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  environment = {
    ...process.env,
    REHOST_URL: `http://127.0.0.1:${port}`,
    REHOST_API_TOKEN: await gateway.apiToken(),
  }
})

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve))
  await gateway.close()
  await rm(folder, { recursive: true })
})

const audit = async (...args: string[]) =>
  (await promisify(execFile)(rehost, ['audit', ...args], { env: environment, timeout: 30_000 }).catch(
    (error: unknown) => error,
  )) as { code?: number; stdout: string; stderr: string }

it(
  'rehost audit writes the log to a file, and finds what was changed in it',
  { timeout: 120_000 },
  async () => {
    for (const action of ['one', 'two', 'three'])
      await gateway.services.audit.append({
        actor: 'anna',
        via: 'API',
        action,
        address: '::1',
        outcome: 'ASKED',
      })
    const file = join(folder, 'audit.ndjson')
    expect((await audit('export', file)).stdout).toBe(`3 entries written to ${file}\n`)
    const said = (await audit('verify', file)).stdout
    const [, head = ''] = /^3 entries, none changed\. Last hash: ([0-9a-f]{64})\n$/.exec(said) ?? []
    expect(head).not.toBe('')
    expect((await audit('verify', '--head', head)).stdout).toBe(said)

    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('"action":"two"', '"action":"TWO"'))
    const changed = await audit('verify', file)
    expect([changed.code, changed.stderr]).toEqual([
      1,
      expect.stringContaining('broken at entry 2: it was changed: its hash is not of what it says'),
    ])
    await writeFile(file, text.split('\n').slice(0, 2).join('\n'))
    expect((await audit('verify', file, '--head', head)).stderr).toContain('its end was cut off')
    await writeFile(file, 'hello\n')
    expect((await audit('verify', file)).stderr).toContain('is no entry of the audit log')
  },
)
