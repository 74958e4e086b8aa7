import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { renderInstallScript } from '../../../wire/install_script.ts'
import { until } from '../../fixtures/waiting.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'
import { AgentProcess } from './agent_process.ts'
import { FakeAgentGateway } from './fake_agent_gateway.ts'
import { digestOf, isRoot } from './loop_disk.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')
const program = join(root, 'dist/agent/rehost-agent-linux-x64')
const sizeBytes = 24 * 2 ** 20

/** The newest version of the C library that any of the program's symbols asks for. */
function newestGlibc(file: string): string {
  const text = execFileSync(
    'sh',
    ['-c', 'grep -ao "GLIBC_2\\.[0-9]*" "$1" | sort -uV | tail -n 1', 'sh', file],
    { encoding: 'utf8' },
  )
  return text.trim()
}

/** How far each thread of a process stands back, as `nice` counts. */
function nicenessOfThreads(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16])
  })
}

describe('the agent as one executable file', () => {
  let folder: string
  let replicator: TestReplicator
  let gateway: FakeAgentGateway
  let url: string

  beforeAll(() => {
    execFileSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(root, 'scripts/build_agent.ts')],
      { stdio: 'pipe' },
    )
  }, 300_000)

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-executable-'))
    replicator = await TestReplicator.start()
    gateway = new FakeAgentGateway(replicator.ca)
    url = await gateway.start()
  })

  afterEach(async () => {
    await gateway.stop()
    await replicator.end()
    rmSync(folder, { recursive: true, force: true })
  })

  it('needs no newer C library than RHEL 8 has', () => {
    expect(newestGlibc(program)).toBe('GLIBC_2.28')
  })

  it('is built only when its inputs change', () => {
    const before = statSync(program).mtimeMs
    const output = execFileSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(root, 'scripts/build_agent.ts')],
      { encoding: 'utf8' },
    )
    expect(output).toContain('is up to date')
    expect(statSync(program).mtimeMs).toBe(before)
    const [digest] = readFileSync(`${program}.gz.sha256`, 'utf8').split(' ')
    expect(digest).toBe(
      createHash('sha256')
        .update(readFileSync(`${program}.gz`))
        .digest('hex'),
    )
  })

  it('replicates and compares, with its own native part and threads, in little memory', async () => {
    const image = join(folder, 'disk.img')
    makeSparseFile(image, sizeBytes)
    await writeFile(image, Buffer.alloc(5_000_000, 'content '), { flag: 'r+' })
    await writeFile(join(folder, 'ca.pem'), replicator.ca.caPem)
    const agent = new AgentProcess(
      [
        'run',
        '--gateway-url',
        url,
        '--ca-file',
        join(folder, 'ca.pem'),
        '--state-dir',
        join(folder, 'state'),
        '--devices',
        image,
        '--token',
        gateway.token,
      ],
      {},
      program,
    )
    try {
      await until('it is enrolled', () => Promise.resolve(gateway.serials.length > 0), 20_000, 20)
      makeSparseFile(replicator.volumePath(0), sizeBytes)
      await replicator.assign(
        replicator.assignment([sizeBytes], { certificateSerials: [...gateway.serials] }),
      )
      gateway.desired = {
        ...gateway.desired,
        mode: 'REPLICATE',
        replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port: replicator.listener.port },
        disks: [{ diskIndex: 0, deviceName: image, stableId: image, volumeId: 'vol-0', sizeBytes }],
      }
      await until('it is continuous', () => Promise.resolve(gateway.last?.state === 'CONTINUOUS'), 30_000, 20)
      expect(await digestOf(replicator.volumePath(0))).toBe(await digestOf(image))
      await writeFile(image, Buffer.alloc(100_000, 'other content '), { flag: 'r+' })
      const wanted = await digestOf(image)
      await until(
        'a pass over the file finds the change',
        async () => (await digestOf(replicator.volumePath(0))) === wanted,
        30_000,
        100,
      )
      expect(agent.output).not.toContain('ash thread')
      expect(nicenessOfThreads(agent.child.pid ?? 0)).toContain(10)
      const status = readFileSync(`/proc/${agent.child.pid}/status`, 'utf8')
      // Its own: how many pages of the file beside them are in memory is up to the kernel, which maps around a fault as it finds them.
      expect(Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(80 * 1024)
    } finally {
      expect(await agent.stop()).toBe(0)
    }
  })

  describe.runIf(isRoot)('installed by its script', () => {
    /** Runs the script where `/opt`, `/etc` and `/var/lib` are its own and systemd is a stand-in that notes what it is told. */
    async function installWith(script: string, args: string[]): Promise<{ output: string; code: number }> {
      await mkdir(join(folder, 'bin'), { recursive: true })
      const systemctl = join(folder, 'bin/systemctl')
      await writeFile(systemctl, `#!/bin/sh\necho "systemctl $*" >>'${folder}/systemctl.log'\n`)
      await chmod(systemctl, 0o755)
      await writeFile(join(folder, 'install.sh'), script)
      const inside = `
        set -e
        for name in opt etc-rehost units lib run; do mkdir -p '${folder}'/$name; done
        mkdir -p /etc/rehost /var/lib/rehost /run/systemd/system /etc/systemd/system
        mount --bind '${folder}/opt' /opt
        mount --bind '${folder}/etc-rehost' /etc/rehost
        mount --bind '${folder}/units' /etc/systemd/system
        mount --bind '${folder}/lib' /var/lib/rehost
        mount --bind '${folder}/bin' /usr/local/sbin
        if [ -e /usr/bin/systemctl ]; then mount --bind '${systemctl}' /usr/bin/systemctl; fi
        sh '${folder}/install.sh' "$@"`
      const existed = ['/etc/rehost', '/var/lib/rehost', '/run/systemd/system'].filter((path) =>
        existsSync(path),
      )
      try {
        const { stdout, stderr } = await run('unshare', ['--mount', 'sh', '-c', inside, 'sh', ...args])
        return { output: stdout + stderr, code: 0 }
      } catch (error) {
        const failed = error as { stdout: string; stderr: string; code: number }
        return { output: failed.stdout + failed.stderr, code: failed.code }
      } finally {
        for (const path of ['/etc/rehost', '/var/lib/rehost', '/run/systemd/system', '/run/systemd']) {
          if (!existed.includes(path)) await run('rmdir', [path]).catch(() => undefined)
        }
      }
    }

    const scriptWith = (changes: Partial<Parameters<typeof renderInstallScript>[0]> = {}) => {
      const gzipped = readFileSync(`${program}.gz`)
      gateway.files.set('/agent/rehost-agent-linux-x64.gz', gzipped)
      const agentSha256 = createHash('sha256').update(gzipped).digest('hex')
      return renderInstallScript({
        agentUrl: url,
        caPem: replicator.ca.caPem,
        pin: gateway.pin,
        agentSha256,
        ...changes,
      })
    }

    it('downloads, verifies, enrols, writes its files and starts the service', async () => {
      const { output, code } = await installWith(scriptWith(), ['--token', gateway.token, '--tags', 'a=b'])
      expect({ output, code }).toMatchObject({
        code: 0,
        output: expect.stringContaining('This is source server s-1'),
      })
      expect(gateway.enrolments[0]?.tags).toEqual({ a: 'b' })
      expect(readFileSync(join(folder, 'systemctl.log'), 'utf8')).toBe(
        'systemctl enable rehost-agent.service\nsystemctl restart rehost-agent.service\n',
      )
      expect(JSON.parse(readFileSync(join(folder, 'etc-rehost/agent.json'), 'utf8'))).toMatchObject({
        gatewayUrl: url,
        tags: { a: 'b' },
      })
      expect(statSync(join(folder, 'opt/rehost/rehost-agent')).mode & 0o777).toBe(0o755)
      expect(existsSync(join(folder, 'opt/rehost/download'))).toBe(false)
      expect(readFileSync(join(folder, 'units/rehost-agent.service'), 'utf8')).toContain(
        'ExecStart=/opt/rehost/rehost-agent run',
      )
      expect(statSync(join(folder, 'lib/identity.json')).mode & 0o777).toBe(0o600)
    })

    it('says what is wrong with a token and leaves nothing behind', async () => {
      const { output, code } = await installWith(scriptWith(), ['--token', 'tok-0123456789abcdef0.wrong'])
      expect(code).toBe(1)
      expect(output).toContain('make a new command on the add-server page')
      expect(existsSync(join(folder, 'opt/rehost'))).toBe(false)
      expect(existsSync(join(folder, 'units/rehost-agent.service'))).toBe(false)
    })

    it('refuses a download with another checksum or cut short, and a gateway with another key', async () => {
      const wrongSum = await installWith(scriptWith({ agentSha256: '0'.repeat(64) }), [
        '--token',
        gateway.token,
      ])
      expect(wrongSum).toMatchObject({ code: 1, output: expect.stringContaining('has the wrong checksum') })
      const whole = scriptWith()
      gateway.files.set(
        '/agent/rehost-agent-linux-x64.gz',
        readFileSync(`${program}.gz`).subarray(0, 1_000_000),
      )
      expect(await installWith(whole, ['--token', gateway.token])).toMatchObject({
        code: 1,
        output: expect.stringContaining('the agent cannot be downloaded'),
      })
      const wrongKey = await installWith(scriptWith({ pin: `${'A'.repeat(43)}=` }), [
        '--token',
        gateway.token,
      ])
      expect(wrongKey).toMatchObject({
        code: 1,
        output: expect.stringContaining('the agent cannot be downloaded'),
      })
      expect(gateway.enrolments).toEqual([])
    })
  })
})
