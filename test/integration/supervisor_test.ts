import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import { ensureAgentBuilt } from '../../bin/supervisor/agent_build.ts'
import { readSupervisorConfig } from '../../bin/supervisor/config.ts'
import type { SupervisorConfig } from '../../bin/supervisor/config.ts'
import { startSupervisor } from '../../bin/supervisor/supervisor.ts'
import { processState } from '../../cloud/qemu/processes.ts'
import { createProvider } from '../../cloud/registry.ts'
import { bootSector, writtenLine } from '../fixtures/boot_sector.ts'
import { qemuSettings } from '../fixtures/qemu_cloud.ts'
import { servicePlace } from '../fixtures/service_place.ts'
import { sendSignal } from '../fixtures/signals.ts'
import { launchSmall } from '../fixtures/small_machine.ts'
import { until } from '../fixtures/waiting.ts'

const root = join(import.meta.dirname, '../..')
/** Containers often have none. */
const hasIpv6 = networkInterfaces()['lo']?.some(({ address }) => address === '::1') === true
let dataDir: string
let config: SupervisorConfig

// What `rehost up` does first takes minutes where it has never run.
beforeAll(() => ensureAgentBuilt(root, () => undefined), 600_000)

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rehost-supervisor-'))
  config = readSupervisorConfig({
    REHOST_DATA_DIR: dataDir,
    ...(await servicePlace()),
    REHOST_ACCELERATOR: 'tcg',
  })
})

afterEach(async () => {
  expect(await processLeftovers(dataDir)).toEqual([])
  await rm(dataDir, { recursive: true, force: true })
})

const start = (
  environment: Record<string, string | undefined> = process.env,
  say: (line: string) => void = () => undefined,
) => startSupervisor({ config, root, environment, say })

/** What `rehost up` is to be given for the same folder and ports. */
const upEnvironment = () => ({
  ...process.env,
  REHOST_DATA_DIR: dataDir,
  REHOST_HTTP_PORT: String(config.httpPort),
  REHOST_AGENT_PORT: String(config.agentPort),
  REHOST_REPLICATION_PORT: String(config.replicationPort),
  REHOST_DYNAMODB_PORT: String(config.dynamodbPort),
  REHOST_LISTEN_HOST: '127.0.0.1',
})

/** The process that has the data folder. */
const supervisorPid = async () =>
  Number(await readFile(join(dataDir, 'supervisor.pid'), 'utf8').catch(() => '0'))

describe('startSupervisor()', () => {
  it('serves, restarts what is killed, and leaves no process behind', async () => {
    const service = await start()
    try {
      const response = await fetch(`${service.dashboardUrl}/readyz`)
      expect(response.status).toBe(200)
      expect(service.firstPassword).toMatch(/.{12,}/)
      for (const name of ['workers', 'gateway', 'redis']) {
        const before = service.pids()[name]
        sendSignal(before, 'SIGKILL')
        await until(`${name} is back`, async () => {
          const after = service.pids()[name]
          return (
            after !== undefined &&
            after !== before &&
            (await fetch(`${service.dashboardUrl}/readyz`).catch(() => undefined))?.ok
          )
        })
      }
    } finally {
      await service.stop()
    }
    expect(await processLeftovers(dataDir)).toEqual([])
    expect(await readdir(dataDir)).not.toContain('supervisor.pid')
  })

  it('does not make up a password when one is preset', async () => {
    const service = await start({ ...process.env, REHOST_ADMIN_PASSWORD: 'chosen by the operator' })
    const password = service.firstPassword
    await service.stop()
    expect(password).toBeUndefined()
  })

  it('refuses a port that is taken, naming port and variable', async () => {
    const squatter: Server = createServer()
    await new Promise<void>((resolve) => squatter.listen(config.agentPort, '127.0.0.1', resolve))
    const { port } = squatter.address() as AddressInfo
    await expect(start()).rejects.toThrow(new RegExp(`Port ${port} on 127.0.0.1 is taken.*REHOST_AGENT_PORT`))
    await new Promise((resolve) => squatter.close(resolve))
  })

  it('names every missing tool and what installs it', async () => {
    const failure = await start({ ...process.env, PATH: '/nonexistent' }).catch(
      (error: Error) => error.message,
    )
    for (const tool of ['redis-server', 'qemu-system-x86_64', 'qemu-img', 'guestfish']) {
      expect(failure).toContain(`Cannot find ${tool} on PATH: run scripts/setup`)
    }
  })

  it('refuses a second service on the same data', async () => {
    const up = execFile(join(root, 'bin/rehost'), ['up'], { env: upEnvironment() })
    const ended = new Promise<number | null>((resolve) => {
      up.once('close', (code) => resolve(code))
    })
    try {
      await until('the first service is up', async () => (await readdir(dataDir)).includes('cli-token'))
      await expect(start()).rejects.toThrow(`already runs on ${dataDir} as process ${up.pid}`)
      expect(await supervisorPid()).toBe(up.pid)
    } finally {
      up.kill('SIGINT')
    }
    expect(await ended).toBe(0)
  })

  it.runIf(hasIpv6).each(['::', '::1'])('serves the dashboard on %s', async (httpHost) => {
    config = { ...config, httpHost }
    const service = await start()
    try {
      expect(service.dashboardUrl).toBe(`http://[::1]:${config.httpPort}`)
      expect((await fetch(`${service.dashboardUrl}/readyz`)).status).toBe(200)
      const { stdout } = await promisify(execFile)(join(root, 'bin/rehost'), ['servers'], {
        env: { ...upEnvironment(), REHOST_HTTP_HOST: httpHost },
      })
      expect(stdout).toBe('SERVER  HOST  LIFECYCLE  REPLICATION  LAST SEEN\n')
    } finally {
      await service.stop()
    }
  })
})

describe('npm start', () => {
  const startScript = async (): Promise<string> => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    return scripts['start'] ?? ''
  }

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'stops everything in order at %s, though it comes twice and nobody reads its words any more',
    async (signal) => {
      const shell = spawn('sh', ['-c', await startScript()], {
        cwd: root,
        env: upEnvironment(),
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const exit = once(shell, 'exit')
      let workers: string | undefined
      try {
        let words = ''
        shell.stdout.on('data', (chunk: Buffer) => (words += chunk.toString()))
        await until('the service is up', async () => words.includes('Ctrl-C stops everything'))
        const processes = (await processLeftovers(dataDir)).join('\n')
        workers = /process (\d+) .*workers\/main\.ts/.exec(processes)?.[1]
        expect(workers).toBeDefined()
        shell.stdout.destroy()
        shell.stderr.destroy()
      } finally {
        shell.kill(signal)
      }
      // They stop first, and three others after them.
      await until('stopping has begun', async () => !existsSync(`/proc/${workers}`), 60_000, 1)
      shell.kill(signal)
      expect(await exit).toEqual([0, null])
      expect(await processLeftovers(dataDir)).toEqual([])
      expect(await readdir(dataDir)).not.toContain('supervisor.pid')
    },
  )
})

describe('a launched machine', () => {
  const provider = () => createProvider('qemu', qemuSettings(dataDir))
  const launch = () =>
    launchSmall(provider(), bootSector({ text: 'up\r\n', end: 'powerButton' }), { reachablePorts: [22] })

  it('is shut down in order with the service and started again with it', async () => {
    const before = await start()
    const machine = await launch()
    const console = () => provider().consoleText(machine.machineId, 1000)
    await until('the guest is up', async () => (await console()).includes('up'))
    await before.stop()
    expect(await console()).toBe(`up\r\n${writtenLine}`)
    expect(await processLeftovers(dataDir)).toEqual([])
    const said: string[] = []
    const after = await start(process.env, (line) => said.push(line))
    try {
      expect(said).toEqual([`Machine ${machine.machineId} (small) is started again`])
      expect(await provider().describeMachine(machine.machineId)).toEqual(machine)
    } finally {
      await after.stop()
    }
  })

  it('runs on when the supervisor is killed, and the next one leaves it alone', async () => {
    const machine = await launch()
    const folder = join(dataDir, 'cloud', 'machines', machine.machineId)
    const { pid } = await processState(folder)
    const up = execFile(join(root, 'bin/rehost'), ['up'], { env: upEnvironment() })
    await until(
      'the first service is up',
      async () => (await readdir(dataDir)).includes('cli-token') && (await supervisorPid()) > 0,
    )
    sendSignal(await supervisorPid(), 'SIGKILL')
    await until(
      'its processes have ended',
      async () => (await processLeftovers(dataDir, [pid ?? 0])).length === 0,
    )
    up.kill()
    const service = await start()
    try {
      expect(await processState(folder)).toEqual({ pid })
      expect((await provider().describeMachine(machine.machineId))?.state).toBe('RUNNING')
    } finally {
      await service.stop()
    }
  })
})

describe('readSupervisorConfig()', () => {
  it('names the variable that is wrong', () => {
    expect(() => readSupervisorConfig({ REHOST_HTTP_PORT: 'eighty' })).toThrow(/REHOST_HTTP_PORT/)
    expect(() => readSupervisorConfig({ REHOST_AGENT_PORT: '70000' })).toThrow(/REHOST_AGENT_PORT/)
    expect(() => readSupervisorConfig({ REHOST_SHUTDOWN_SECONDS: '-1' })).toThrow(/REHOST_SHUTDOWN_SECONDS/)
  })
})

describe('scripts/setup', () => {
  it('changes nothing without root and says what to install', async () => {
    const tools = join(dataDir, 'tools')
    await mkdir(tools)
    for (const tool of ['sh', 'id', 'ls', 'grep', 'test', 'dirname', 'dpkg-query'])
      await symlink(`/usr/bin/${tool}`, join(tools, tool))
    await copyFile(join(root, 'scripts/setup'), join(tools, 'setup'))
    await chmod(join(tools, 'setup'), 0o755)
    await chmod(dataDir, 0o755)
    const run = promisify(execFile)(
      '/usr/bin/setpriv',
      ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(tools, 'setup')],
      { env: { PATH: tools } },
    )
    const failure = (await run.catch((error: unknown) => error)) as { code?: number; stdout?: string }
    expect(failure.code).toBe(1)
    expect(failure.stdout).toMatch(/needs root on Debian or Ubuntu/)
    expect(failure.stdout).toMatch(/apt-get install --no-install-recommends redis-server qemu-system-x86/)
  })
})
