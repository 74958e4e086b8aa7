import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import { readSupervisorConfig } from '../../bin/supervisor/config.ts'
import type { SupervisorConfig } from '../../bin/supervisor/config.ts'
import { startSupervisor } from '../../bin/supervisor/supervisor.ts'
import { freePorts, until } from '../fixtures/waiting.ts'

const root = join(import.meta.dirname, '../..')
let dataDir: string
let config: SupervisorConfig

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rehost-supervisor-'))
  const [http, agent, replication, dynamodb] = await freePorts(4)
  config = readSupervisorConfig({
    REHOST_DATA_DIR: dataDir,
    REHOST_HTTP_PORT: String(http),
    REHOST_AGENT_PORT: String(agent),
    REHOST_REPLICATION_PORT: String(replication),
    REHOST_DYNAMODB_PORT: String(dynamodb),
    REHOST_LISTEN_HOST: '127.0.0.1',
    REHOST_PUBLIC_HOST: '127.0.0.1',
  })
})

afterEach(async () => {
  expect(await processLeftovers(dataDir)).toEqual([])
  await rm(dataDir, { recursive: true, force: true })
})

const start = (environment: Record<string, string | undefined> = process.env) =>
  startSupervisor({ config, root, environment, say: () => undefined })

describe('startSupervisor()', () => {
  it('serves, restarts what is killed, and leaves no process behind', async () => {
    const service = await start()
    try {
      const response = await fetch(`${service.dashboardUrl}/readyz`)
      expect(response.status).toBe(200)
      expect(service.firstPassword).toMatch(/.{12,}/)
      for (const name of ['workers', 'gateway', 'redis']) {
        const before = service.pids()[name]
        process.kill(before ?? 0, 'SIGKILL')
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
    const up = execFile(join(root, 'bin/rehost'), ['up'], {
      env: {
        ...process.env,
        REHOST_DATA_DIR: dataDir,
        REHOST_HTTP_PORT: String(config.httpPort),
        REHOST_AGENT_PORT: String(config.agentPort),
        REHOST_REPLICATION_PORT: String(config.replicationPort),
        REHOST_DYNAMODB_PORT: String(config.dynamodbPort),
        REHOST_LISTEN_HOST: '127.0.0.1',
      },
    })
    const ended = new Promise<number | null>((resolve) => {
      up.once('close', (code) => resolve(code))
    })
    await until('the first service is up', async () => (await readdir(dataDir)).includes('cli-token'))
    await expect(start()).rejects.toThrow(/already runs on .* as process \d+/)
    up.kill('SIGINT')
    expect(await ended).toBe(0)
  })
})

describe('readSupervisorConfig()', () => {
  it('names the variable that is wrong', () => {
    expect(() => readSupervisorConfig({ REHOST_HTTP_PORT: 'eighty' })).toThrow(/REHOST_HTTP_PORT/)
    expect(() => readSupervisorConfig({ REHOST_AGENT_PORT: '70000' })).toThrow(/REHOST_AGENT_PORT/)
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
