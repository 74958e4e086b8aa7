import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removalCommand, stateRemovalCommand, uninstall } from '../../../agent/install/uninstall.ts'
import { runCommand } from '../../../agent/run_command.ts'
import { StateFiles } from '../../../agent/state_files.ts'
import { trackKey } from '../../../agent/tracking/track_folder.ts'

const identity = {
  sourceServerId: 's-1',
  gatewayUrl: 'https://gateway.example.test',
  certificatePem: 'certificate',
  keyPem: 'key',
  caPem: 'ca',
}

describe('uninstall() of an agent that was only run', () => {
  let folder: string
  let files: StateFiles
  const at = (...parts: string[]): string => join(folder, ...parts)

  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'rehost-uninstall-')), "the operator's folder")
    files = new StateFiles(folder)
  })
  afterEach(() => {
    rmSync(join(folder, '..'), { recursive: true })
  })

  /** Everything that an agent may leave, also one that was killed. */
  async function run(): Promise<void> {
    await files.prepare()
    await files.writeIdentity(identity)
    const memory = await files.openMemory((message) => expect.unreachable(message))
    await memory.setComplete('vol-1', true)
    writeFileSync(at('identity.json.new'), 'half')
    writeFileSync(at('replication.json.new'), 'half')
    mkdirSync(at('.native-Ab3dEf'))
    writeFileSync(at('.native-Ab3dEf', 'blake.node'), 'library')
  }
  const leave = () => uninstall({ run: runCommand, stateDirectory: folder, isService: false, isRoot: false })

  it('removes a folder that was the agent’s alone', async () => {
    await run()
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await leave()
    expect(existsSync(folder)).toBe(false)
    await leave()
  })

  it('leaves the operator’s files and the folder’s mode as they are', async () => {
    mkdirSync(folder)
    chmodSync(folder, 0o755)
    writeFileSync(at('disk.img'), 'the only copy')
    mkdirSync(at('identity'))
    await run()
    expect(statSync(folder).mode & 0o777).toBe(0o755)
    await leave()
    expect(readdirSync(folder).toSorted()).toEqual(['disk.img', 'identity'])
    expect(readFileSync(at('disk.img'), 'utf8')).toBe('the only copy')
  })
})

describe('removalCommand()', () => {
  it('removes whole folders of the installation alone', () => {
    const command = removalCommand('/srv/data')
    expect(command).toContain(stateRemovalCommand('/srv/data'))
    expect(command.split('; ').filter((part) => part.startsWith('rm -rf'))).toEqual([
      `rm -rf -- '/run/rehost/${trackKey('/srv/data')}'`,
      "rm -rf -- '/srv/data/.native-'*",
      "rm -rf '/opt/rehost' '/var/lib/rehost'",
    ])
  })
})
