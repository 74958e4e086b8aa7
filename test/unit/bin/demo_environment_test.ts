import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApiClient } from '../../../bin/api_client.ts'
import { demoEnvironment, takeDemoFolder } from '../../../bin/demo/environment.ts'
import { requireNewService } from '../../../bin/demo/stage.ts'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'
import { DataFolder } from '../../../bin/supervisor/data_folder.ts'
import { layoutOf } from '../../../cloud/qemu/layout.ts'
import { processState, startDetached } from '../../../cloud/qemu/processes.ts'
import { toolsOn } from '../../../cloud/qemu/tools.ts'
import { newId } from '../../../domain/ids.ts'

const root = join(import.meta.dirname, '../../..')
const ports = { http: 9080, agent: 9443, replication: 9500, dynamodb: 9042 }
let parent: string
let dataDir: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehost-demo-'))
  dataDir = join(parent, 'demo-run')
})
afterEach(() => rm(parent, { recursive: true, force: true }))

describe('demoEnvironment()', () => {
  const production = {
    PATH: '/usr/bin',
    REDIS_URL: 'redis://production:6379',
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_ENDPOINT_URL: 'http://production:8000',
    AWS_ENDPOINT_URL_DYNAMODB: 'http://production:8000',
    AWS_PROFILE: 'production',
    REHOST_STORE: 'dynamodb',
    REHOST_TABLE: 'production',
    REHOST_CLOUD: 'memory',
    REHOST_ACCELERATOR: 'tcg',
    REHOST_HTTP_HOST: '0.0.0.0',
    REHOST_ADMIN_PASSWORD: 'the password of production',
    REHOST_URL: 'http://production:8080',
    REHOST_API_TOKEN: 'rht_production',
    REHOST_DATA_DIR: '/srv/rehost',
  }

  it("keeps nothing of the shell's that leads to another installation", () => {
    const environment = demoEnvironment(production, '/work/demo-run', ports)
    expect(environment).toEqual({
      PATH: '/usr/bin',
      REHOST_DATA_DIR: '/work/demo-run',
      REHOST_HTTP_HOST: '127.0.0.1',
      REHOST_HTTP_PORT: '9080',
      REHOST_AGENT_PORT: '9443',
      REHOST_REPLICATION_PORT: '9500',
      REHOST_DYNAMODB_PORT: '9042',
      REHOST_LISTEN_HOST: '127.0.0.1',
      REHOST_PUBLIC_HOST: '10.0.2.2',
      REHOST_CLOUD: 'qemu',
      REHOST_ACCELERATOR: 'tcg',
      REHOST_STORE: 'embedded',
      REHOST_SHUTDOWN_SECONDS: '0',
    })
    expect(readSupervisorConfig(environment)).toMatchObject({
      dataDir: '/work/demo-run',
      cloud: 'qemu',
      accelerator: 'tcg',
      table: 'rehost',
      redisUrl: undefined,
      isStoreExternal: false,
    })
  })
})

describe('requireNewService()', () => {
  const answering = async <T>(items: unknown[], work: (api: ApiClient) => Promise<T>): Promise<T> => {
    const server = createServer((_request, response) => response.end(JSON.stringify({ items })))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      return await work(new ApiClient({ baseUrl: `http://127.0.0.1:${port}`, token: 't' }))
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  it('refuses a service that has servers, and names them', async () => {
    const id = newId('sourceServer')
    await expect(answering([{ sourceServerId: id }], requireNewService)).rejects.toThrow(
      `works only on a service of its own, and this one has servers already: ${id}`,
    )
    await answering([], requireNewService)
  })
})

describe('takeDemoFolder()', () => {
  it('ends what a demonstration left that was killed, before it removes the files that tell of it', async () => {
    const layout = layoutOf(dataDir)
    const folders = [layout.machine(newId('machine')), layout.replicationServer(newId('replicationServer'))]
    const pids: number[] = []
    for (const folder of folders) {
      await mkdir(folder, { recursive: true })
      await startDetached(
        { folder, command: ['/bin/sleep', '600'], environment: {} },
        toolsOn(process.env['PATH'] ?? ''),
      )
      pids.push((await processState(folder)).pid ?? 0)
    }
    const isAlive = (pid: number) =>
      readdir(`/proc/${pid}/fd`).then(
        ({ length }) => length > 0,
        () => false,
      )
    expect(await Promise.all(pids.map(isAlive))).toEqual([true, true])
    const folder = await takeDemoFolder(dataDir)
    expect(await Promise.all(pids.map(isAlive))).toEqual([false, false])
    expect(await readdir(dataDir)).toEqual(['supervisor.pid'])
    await folder.giveBack()
  })
})

const isRoot = process.getuid?.() === 0

describe.runIf(isRoot)('rehost demo', () => {
  it('says to whoever is not root what needs root and what to do, and changes nothing', async () => {
    // What it may read all the same is this project, which can be in a folder that only root may enter.
    const capability = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    const user = ['--reuid=65534', '--regid=65534', '--clear-groups', ...capability, '--']
    const command = [process.execPath, join(root, 'bin/rehost.ts'), 'demo', '--once']
    await chmod(parent, 0o777)
    const run = promisify(execFile)('setpriv', [...user, ...command], {
      env: { ...process.env, REHOST_DATA_DIR: join(parent, 'data') },
      timeout: 30_000,
    })
    const failure = (await run.catch((error: unknown) => error)) as { code?: number; stderr?: string }
    expect(failure).toMatchObject({ code: 1, stdout: '' })
    expect(failure.stderr).toMatch(
      /^Cannot play the demonstration as user 65534: .*mmdebstrap.* needs root\. /m,
    )
    expect(failure.stderr).toContain('Run the command again as root; without root, replicate a disk image')
    expect(await readdir(parent)).toEqual([])
  })

  it('changes nothing where another demonstration works', async () => {
    const folder = await DataFolder.take(dataDir)
    await mkdir(join(dataDir, 'dynamodb'))
    await writeFile(join(dataDir, 'dynamodb/store'), 'servers')
    const run = promisify(execFile)(join(root, 'bin/rehost'), ['demo', '--once'], {
      env: { ...process.env, REHOST_DATA_DIR: parent },
      timeout: 30_000,
    })
    const failure = (await run.catch((error: unknown) => error)) as { code?: number; stderr?: string }
    expect(failure).toMatchObject({ code: 1 })
    expect(failure.stderr).toContain(`Rehost already runs on ${dataDir} as process ${process.pid}`)
    expect((await readdir(dataDir)).toSorted()).toEqual(['dynamodb', 'supervisor.pid'])
    expect(await readdir(join(dataDir, 'dynamodb'))).toEqual(['store'])
    await folder.giveBack()
  })

  it('leaves no summary of an earlier run when it fails before it has one of its own', async () => {
    const folder = await DataFolder.take(dataDir)
    const summary = join(parent, 'summary.json')
    await writeFile(summary, '{"identical":true}')
    const link = join(parent, 'link.json')
    await symlink('/dev/null', link)
    for (const file of [summary, link]) {
      const run = promisify(execFile)(join(root, 'bin/rehost'), ['demo', '--once', '--json', file], {
        env: { ...process.env, REHOST_DATA_DIR: parent },
        timeout: 30_000,
      })
      await expect(run).rejects.toThrow('Rehost already runs on')
    }
    expect((await readdir(parent)).toSorted()).toEqual(['demo-run', 'link.json'])
    await folder.giveBack()
  })
})
