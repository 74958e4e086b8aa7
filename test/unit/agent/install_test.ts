import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HttpsControlClient } from '../../../agent/control_client.ts'
import type { InstallInput } from '../../../agent/install/install.ts'
import { install } from '../../../agent/install/install.ts'
import { placeProgram } from '../../../agent/install/place_program.ts'
import { StateFiles } from '../../../agent/state_files.ts'
import { FakeAgentGateway } from '../../integration/agent/fake_agent_gateway.ts'
import type { TestCa } from '../../fixtures/test_ca.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { oneDiskInventory } from '../../fixtures/source_server.ts'

describe('install()', () => {
  let folder: string
  let ca: TestCa
  let gateway: FakeAgentGateway
  let client: HttpsControlClient
  let input: InstallInput
  let said: string[]
  let commands: string[]
  const at = (...parts: string[]): string => join(folder, ...parts)

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-install-'))
    ca = await makeTestCa()
    gateway = new FakeAgentGateway(ca)
    const gatewayUrl = await gateway.start()
    client = new HttpsControlClient({ gatewayUrl, caPem: ca.caPem, nowMs: Date.now })
    said = []
    commands = []
    writeFileSync(at('downloaded'), 'the new program')
    input = {
      gatewayUrl,
      caPem: ca.caPem,
      token: gateway.token,
      sourceProperties: oneDiskInventory(),
      client,
      files: new StateFiles(at('state')),
      run: (program, args) => {
        commands.push([program, ...args].join(' '))
        return Promise.resolve('')
      },
      nowMs: Date.now,
      isRoot: true,
      program: at('opt/rehost-agent'),
      executable: at('downloaded'),
      say: (line) => said.push(line),
      paths: { configFile: at('etc/agent.json'), unitFile: at('rehost-agent.service') },
    }
  })

  afterEach(async () => {
    client.close()
    await gateway.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('enrols, puts the program into its place and starts the service', async () => {
    const identity = await install(input)
    expect(identity.sourceServerId).toBe('s-1')
    expect(readFileSync(at('opt/rehost-agent'), 'utf8')).toBe('the new program')
    expect(readFileSync(at('rehost-agent.service'), 'utf8')).toContain(
      `ExecStart=${at('opt/rehost-agent')} run`,
    )
    expect(commands).toEqual([
      'systemctl enable rehost-agent.service',
      'systemctl restart rehost-agent.service',
    ])
    expect(said.join('\n')).toContain('/dev/sda (1.0 GiB, boot disk) will be replicated')
  })

  it('touches nothing of an agent that runs already when it cannot enrol', async () => {
    await placeProgram(at('downloaded'), at('opt/rehost-agent'))
    writeFileSync(at('newer'), 'a newer program')
    const failing = install({ ...input, token: 'wrong-token', executable: at('newer') })
    await expect(failing).rejects.toThrow('make a new command on the add-server page')
    expect(readFileSync(at('opt/rehost-agent'), 'utf8')).toBe('the new program')
    expect(existsSync(at('etc/agent.json'))).toBe(false)
    expect(commands).toEqual([])
  })

  it('hands the proxy of its environment on to the service, readable by root alone', async () => {
    const proxy = { HTTPS_PROXY: 'http://me:secret@127.0.0.1:9', NO_PROXY: '127.0.0.1' }
    await install({ ...input, proxy })
    expect(JSON.parse(readFileSync(at('etc/agent.json'), 'utf8'))).toMatchObject({ proxy })
    expect(statSync(at('etc/agent.json')).mode & 0o777).toBe(0o600)
    expect(said.join('\n')).toContain('by way of the proxy 127.0.0.1:9; blocks go straight')
    expect(said.join('\n')).not.toContain('secret')
  })

  it('refuses without root, and says so when the service does not start', async () => {
    await expect(install({ ...input, isRoot: false })).rejects.toThrow('run it with sudo')
    const run = () => Promise.reject(new Error('Unit is masked'))
    await expect(install({ ...input, run })).rejects.toThrow(
      'Cannot start the service rehost-agent.service; see journalctl -u rehost-agent',
    )
  })
})

describe('placeProgram()', () => {
  it('replaces a program whole and leaves nothing beside it, on the same file system and from another', async () => {
    const folders = [tmpdir(), '/dev/shm'].map((parent) => mkdtempSync(join(parent, 'rehost-place-')))
    try {
      const to = join(folders[0] ?? '', 'bin/agent')
      for (const [index, folder] of folders.entries()) {
        const from = join(folder, 'new')
        writeFileSync(from, `program ${index}`, { mode: 0o600 })
        await placeProgram(from, to)
        expect(readFileSync(to, 'utf8')).toBe(`program ${index}`)
        expect(statSync(to).mode & 0o777).toBe(0o755)
        expect(existsSync(`${to}.new`)).toBe(false)
        await placeProgram(from, to)
        await placeProgram(to, to)
        expect(readFileSync(to, 'utf8')).toBe(`program ${index}`)
      }
    } finally {
      for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    }
  })
})
