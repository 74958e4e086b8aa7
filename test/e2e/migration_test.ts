import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Demo } from '../../bin/demo/demo.ts'
import { demoEnvironment, takeDemoFolder } from '../../bin/demo/environment.ts'
import { processLeftovers, stagingLeftovers } from '../../bin/demo/leftovers.ts'
import { getServer } from '../../bin/demo/service_view.ts'
import { readSupervisorConfig } from '../../bin/supervisor/config.ts'
import type { DataFolder } from '../../bin/supervisor/data_folder.ts'
import { processState } from '../../cloud/qemu/processes.ts'
import { differingPaths, filesOfDisk } from '../fixtures/disk_files.ts'
import { randomInt, seedFor, seededRandom, shuffled } from '../fixtures/seed.ts'
import { freePorts } from '../fixtures/waiting.ts'

/**
 * One migration of a booted, busy guest while processes are killed in an order and at moments drawn from a seed. `SEED=… npx vitest …` replays
 * them; `KILLS=n` kills more than three times in each phase.
 */
const random = seededRandom(seedFor('migration'))
const killsPerPhase = Math.max(3, Number(process.env['KILLS'] ?? 3))

const root = join(import.meta.dirname, '../..')
const abort = new AbortController()
let dataDir: string
let folder: DataFolder
let demo: Demo
let hasPassed = false

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rehost-e2e-'))
  const [http = 0, agent = 0, replication = 0, dynamodb = 0] = await freePorts(4)
  const environment = demoEnvironment(process.env, dataDir, { http, agent, replication, dynamodb })
  folder = await takeDemoFolder(dataDir)
  demo = new Demo({
    root,
    config: readSupervisorConfig(environment),
    folder,
    environment,
    cacheDir: join(root, '.rehost/cache'),
    isFresh: false,
    // Killed agents copy most of it twice: what is here beside the system shows no more by being larger.
    guest: { sizeBytes: 2 * 1024 ** 3, dataBytes: 24_000_000 },
    say: (line) => console.log(line),
    terminal: process.stdout,
    now: () => performance.now(),
    signal: abort.signal,
  })
  await demo.prepare()
})

afterAll(async () => {
  await demo.close()
  await folder.giveBack()
  expect(await processLeftovers(dataDir)).toEqual([])
  if (hasPassed) await rm(dataDir, { recursive: true, force: true })
  else console.log(`Logs and disks of the failed migration are in ${dataDir}`)
})

/** Ways to hurt a migration, by name; false when there was nothing to kill at that moment. */
const hurts = {
  agent: async () =>
    (await demo.stage.source.guestExec('systemctl kill -s KILL rehost-agent')).exitCode === 0,
  replicator: async () => {
    const folder = join(dataDir, 'cloud', 'replication-servers')
    const ids = await readdir(folder).catch(() => [])
    const states = await Promise.all(ids.map((id) => processState(join(folder, id))))
    return states.map(({ pid }) => pid !== undefined && killIfAlive(pid)).includes(true)
  },
  worker: async () => killService('workers'),
  gateway: async () => killService('gateway'),
  redis: async () => killService('redis'),
} satisfies Record<string, () => Promise<boolean>>
type Hurt = keyof typeof hurts

function killService(name: string): boolean {
  const pid = demo.stage.service.pids()[name]
  return pid !== undefined && killIfAlive(pid)
}

/** One that was killed a moment ago may not have been replaced yet. */
function killIfAlive(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    return false
  }
}

/** A phase begins with one action; the gateway is not killed between the action and its answer, which would be lost for good. */
const firstHurtMs = 3_000

/** What there is no kill of yet is tried again after this time. */
const againMs = 250

/** What was killed so far. */
const killed: Hurt[] = []

/** Runs `phase` while hurting it at moments within its first `withinMs`: each of `names` before any comes a second time. */
async function hurtDuring<T>(names: readonly Hurt[], withinMs: number, phase: Promise<T>): Promise<T> {
  const dealt: Hurt[] = []
  while (dealt.length < killsPerPhase) dealt.push(...shuffled(random, names))
  const times = Array.from({ length: killsPerPhase }, () => randomInt(random, firstHurtMs, withinMs))
  const moments = times
    .toSorted((left, right) => left - right)
    .map((atMs, index) => ({ atMs, name: dealt[index] ?? 'worker' }))
  let isOver = false
  const over = phase.finally(() => {
    isOver = true
  })
  const hurting = (async () => {
    let elapsedMs = 0
    for (const { atMs, name } of moments) {
      await sleep(atMs - elapsedMs)
      elapsedMs = atMs
      if (isOver) return
      while (!(await hurts[name]())) {
        if (isOver) return
        await sleep(againMs)
      }
      killed.push(name)
      console.log(`  ✂ kill ${name} ${atMs} ms into the phase`)
    }
  })()
  const [result] = await Promise.all([over, hurting])
  return result
}

describe('migration of a booted guest', () => {
  it('ends identical although agent, replicator, worker, gateway and Redis are killed on the way', async () => {
    await hurtDuring(['agent', 'replicator', 'worker'], 20_000, demo.replicate())

    expect(await hurtDuring(['worker', 'agent', 'replicator', 'gateway', 'redis'], 30_000, demo.test())).toBe(
      'PASSED',
    )
    expect(await demo.compare()).toBe(true)
    await expectOnlyNamedChanges()

    const cutover = await hurtDuring(['worker', 'redis'], 30_000, demo.cutOver())
    expect(cutover.verdict).toBe('PASSED')
    expect(await demo.compare()).toBe(true)

    expect(await demo.finalize()).toBe(true)
    expect(await stagingLeftovers(dataDir)).toEqual([])
    const server = await getServer(demo.stage.api, demo.stage.serverId)
    expect(server.lifecycle.state).toBe('CUTOVER')
    expect(server.replication.state).toBe('DISCONNECTED')
    expect(killed).toEqual(expect.arrayContaining(['agent', 'replicator', 'worker']))
    hasPassed = true
  })
})

/** The converted disk differs from the snapshot in the files that the conversion report names, and in no other. */
async function expectOnlyNamedChanges(): Promise<void> {
  const { launchedInstance } = await getServer(demo.stage.api, demo.stage.serverId)
  const cloud = join(dataDir, 'cloud')
  const before = await filesOfDisk(join(cloud, 'snapshots', `${launchedInstance?.snapshotIds[0]}.raw`), 'raw')
  const after = await filesOfDisk(
    join(cloud, 'images', String(launchedInstance?.imageId), 'disk0.qcow2'),
    'qcow2',
  )
  const { changes } = await demo.stage.api.get<{ changes: { paths: string[] }[] }>(
    `/jobs/${launchedInstance?.jobId}/servers/${demo.stage.serverId}/conversion.json`,
  )
  const named = changes.flatMap(({ paths }) => paths)
  expect(before.size).toBeGreaterThan(5000)
  // A folder that was made to hold a named file is named with it.
  const unnamed = differingPaths(before, after).filter(
    (path) => !named.some((own) => path === own || path.startsWith(`${own}/`) || own.startsWith(`${path}/`)),
  )
  expect(unnamed).toEqual([])
}
