import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway
let folder: string

beforeEach(async () => {
  cli = await cliGateway()
  folder = await mkdtemp(join(tmpdir(), 'rehost-audit-'))
})

afterEach(async () => {
  await cli.close()
  await rm(folder, { recursive: true })
})

const audit = (...args: string[]) => cli.rehost('audit', ...args)

it(
  'rehost audit writes the log to a file, and finds what was changed in it',
  { timeout: 120_000 },
  async () => {
    for (const action of ['one', 'two', 'three'])
      await cli.gateway.services.audit.append({
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
    expect((await audit('verify', '--head', head.toUpperCase())).stdout).toBe(said)
    for (const wrong of [`${head}0`, head.slice(1), `g${head.slice(1)}`])
      expect(await audit('verify', '--head', wrong)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `Cannot look for ${wrong}: it is no hash, which has 64 hexadecimal digits, and this has ${wrong.length} characters; give the last hash as rehost audit verify printed it\n`,
      })

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
