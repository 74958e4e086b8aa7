import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ApiClient, findAccess } from '../../bin/api_client.ts'
import type { NewToken } from '../../bin/commands/tokens.ts'
import { processLeftovers } from '../../bin/demo/leftovers.ts'
import type { ServerView } from '../../bin/demo/service_view.ts'
import { readSupervisorConfig } from '../../bin/supervisor/config.ts'
import type { SupervisorConfig } from '../../bin/supervisor/config.ts'
import type { Supervisor } from '../../bin/supervisor/supervisor.ts'
import { startSupervisor } from '../../bin/supervisor/supervisor.ts'
import { layoutOf } from '../../cloud/qemu/layout.ts'
import { processState } from '../../cloud/qemu/processes.ts'
import type { ReplicationServerId, VolumeId } from '../../domain/ids.ts'
import { readmeCommand } from '../fixtures/readme.ts'
import { servicePlace } from '../fixtures/service_place.ts'
import { sendSignal } from '../fixtures/signals.ts'
import { until } from '../fixtures/waiting.ts'

/**
 * The whole service and a real agent that copies an image, while what holds the copy is taken away behind the service's back.
 */
const root = join(import.meta.dirname, '../..')
const sizeBytes = 8 * 2 ** 20
const waitMs = 90_000

/** The data folder and the disk image are in it, as in README. */
let folder: string
let dataDir: string
let disk: string
let config: SupervisorConfig
let service: Supervisor
let api: ApiClient
let agent: ChildProcess
let agentWords = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-loss-'))
  dataDir = join(folder, '.rehost')
  disk = join(folder, 'disk.img')
  await writeFile(disk, randomBytes(sizeBytes))
  const own = await servicePlace()
  const environment = {
    ...process.env,
    REHOST_DATA_DIR: dataDir,
    ...own,
  }
  config = readSupervisorConfig(environment)
  service = await startSupervisor({ config, root, environment, say: () => undefined })
  api = new ApiClient(await findAccess(environment))
  // From README word for word, in the folder of data folder and disk image: only port and token are this service's.
  const env = { ...process.env, REHOST_DATA_DIR: undefined, REHOST_HTTP_PORT: own.REHOST_HTTP_PORT }
  const place = { cwd: folder, env }
  const [rehost = '', ...tokenArguments] = await readmeCommand('bin/rehost token')
  const { stdout } = await promisify(execFile)(join(root, rehost), tokenArguments, place)
  const { token } = JSON.parse(stdout) as NewToken
  const [, ...agentArguments] = await readmeCommand('bin/rehost agent run')
  const filledIn = agentArguments.map((word) =>
    word === '…' ? token : word.replace(':8443', `:${own.REHOST_AGENT_PORT}`),
  )
  // Where the agent of this machine itself keeps its certificate is none of a test's business.
  agent = spawn(join(root, rehost), [...filledIn, '--state-dir', join(folder, 'agent')], {
    ...place,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [agent.stdout, agent.stderr])
    stream?.on('data', (text: Buffer) => (agentWords = (agentWords + text.toString()).slice(-5000)))
  await inSync()
})

afterAll(async () => {
  agent.kill('SIGTERM')
  if (agent.exitCode === null) await once(agent, 'exit')
  await service.stop()
  expect(await processLeftovers(folder)).toEqual([])
  await rm(folder, { recursive: true, force: true })
})

async function server(): Promise<ServerView | undefined> {
  return (await api.get<{ items: ServerView[] }>('/servers')).items[0]
}

/** The server once nothing is left to be copied, and its volume holds what the disk holds. */
async function inSync(): Promise<{ replicationServerId: ReplicationServerId; volumeId: VolumeId }> {
  let seen: ServerView | undefined
  try {
    return await until(
      'the copy equals the disk',
      async () => {
        seen = await server()
        const { replicationServerId, state } = seen?.replication ?? {}
        const volumeId = seen?.disks[0]?.volumeId
        if (state !== 'CONTINUOUS' || replicationServerId === undefined || volumeId === undefined)
          return undefined
        const copy = await readFile(layoutOf(dataDir).volume(volumeId).disk).catch(() => Buffer.alloc(0))
        return copy.equals(await readFile(disk)) ? { replicationServerId, volumeId } : undefined
      },
      waitMs,
      250,
    )
  } catch (error) {
    const found = JSON.stringify(seen?.replication, null, 2)
    throw new Error(`The server is at ${found}; the agent said last: ${agentWords}`, { cause: error })
  }
}

async function messages(): Promise<string[]> {
  const { sourceServerId } = (await server()) ?? {}
  const { items } = await api.get<{ items: { message: string }[] }>(`/servers/${sourceServerId}/events`)
  return items.map(({ message }) => message)
}

/** A block of the source changes, so that being in sync again means that it was sent. */
async function writeOnSource(): Promise<void> {
  const handle = await open(disk, 'r+')
  await handle.write(randomBytes(4096), 0, 4096, 1_048_576)
  await handle.close()
}

async function killReplicationServer(id: ReplicationServerId): Promise<void> {
  const folder = layoutOf(dataDir).replicationServer(id)
  const { pid } = await processState(folder)
  sendSignal(pid, 'SIGKILL')
  await until('it has ended', async () => (await processState(folder)).pid === undefined)
  await rm(folder, { recursive: true })
}

describe('behind the back of the service', () => {
  it('a replication server is killed and its folder removed: it is made anew and replication goes on', async () => {
    const before = await inSync()
    await killReplicationServer(before.replicationServerId)
    await writeOnSource()
    expect(await inSync()).toEqual(before)
    const told = await until('the end of it is told', async () => {
      const all = await messages()
      return all.includes(`Replication server ${before.replicationServerId} reports again`) && all
    })
    expect(told).toContain(
      `Replication server ${before.replicationServerId} has vanished from the qemu cloud and is made anew; its volumes are attached to it again`,
    )
  }, 120_000)

  it('a volume file is removed: another one is made and the disk is copied again', async () => {
    const before = await inSync()
    await rm(layoutOf(dataDir).volume(before.volumeId).disk)
    await writeOnSource()
    const after = await inSync()
    expect(after.volumeId).not.toBe(before.volumeId)
    expect(after.replicationServerId).toBe(before.replicationServerId)
    const told = (await messages()).filter((message) => message.includes(before.volumeId))
    expect(told.find((message) => message.startsWith('The copy of disk'))).toMatch(/ is missing\./)
  }, 120_000)

  it('both are removed at once: both are made anew', async () => {
    const before = await inSync()
    await killReplicationServer(before.replicationServerId)
    await rm(layoutOf(dataDir).volume(before.volumeId).disk)
    await writeOnSource()
    const after = await inSync()
    expect(after.volumeId).not.toBe(before.volumeId)
  }, 120_000)
})
