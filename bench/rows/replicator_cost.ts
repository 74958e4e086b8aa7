/**
 * What a replication server costs: its memory with a hundred agents of five disks that all send, and while its disk answers nothing at all; and what
 * strangers can take away from an agent.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import { besideSlowClients } from '../beside_slow_clients.ts'
import { ended, run, sleep, until } from '../command.ts'
import { withReflinks } from '../disk_files.ts'
import { enrolFleet } from '../fleet/enrol.ts'
import { peakMemoryMb } from '../process_facts.ts'
import { alone, middleOf, sum } from '../row.ts'
import { Service } from '../service.ts'

const agentCount = 100
const disksOfAgent = 5
const diskSizeBytes = 2 ** 30
const mostMemoryMb = 512
const stagingBytes = 16 * 2 ** 30
const readyTimeoutMs = 900_000

const flowTimeoutMs = 300_000
const leastFlowBytes = 17 * 2 ** 20

/** Of what the process that plays the fleet said last. */
const errorChars = 2000

/** What the fleet said last. */
interface FleetNews {
  sending: number
  /** Of each agent. */
  sentBytes: number[]
}

/** Enrols the fleet and starts the process that plays it. */
async function startFleet(
  service: Service,
  folder: string,
): Promise<{ process: ChildProcess; news: () => FleetNews }> {
  const file = join(folder, 'fleet.json')
  const sizes = Array<number>(disksOfAgent).fill(diskSizeBytes)
  await enrolFleet(service, file, { count: agentCount, diskSizeBytes: sizes })
  const program = join(import.meta.dirname, '../fleet/senders.ts')
  const child = spawn(process.execPath, [...process.execArgv, program, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let last = ''
  child.stderr.on('data', (chunk: Buffer) => (last = (last + chunk.toString()).slice(-errorChars)))
  let news: FleetNews = { sending: 0, sentBytes: [] }
  child.stdout.on('data', (chunk: Buffer) => {
    const line = chunk.toString().trim().split('\n').at(-1)
    if (line?.startsWith('{') === true && line.endsWith('}')) news = JSON.parse(line) as FleetNews
  })
  const requireAlive = (): void => {
    if (child.exitCode !== null)
      throw new Error(`The process that plays the fleet ended with ${child.exitCode}:\n${last}`)
  }
  return {
    process: child,
    news: () => {
      requireAlive()
      return news
    },
  }
}

/** The service's volumes are on a file system of their own at `place`, which can be made to stand still. */
async function measure(context: BenchContext, service: Service, place: string): Promise<Measured> {
  const { loadSeconds, folder, say } = context
  const fleet = await startFleet(service, folder)
  const end = ended(fleet.process)
  try {
    await until('all agents send', readyTimeoutMs, () =>
      fleet.news().sending === agentCount ? true : undefined,
    )
    const pid = await service.replicatorPid()
    const before = sum(fleet.news().sentBytes)
    await sleep(loadSeconds)
    const sentMb = (sum(fleet.news().sentBytes) - before) / 1e6
    const sendingMb = await peakMemoryMb(pid)
    await run('fsfreeze', ['--freeze', place])
    await sleep(loadSeconds)
    const stalledMb = await peakMemoryMb(pid)
    await run('fsfreeze', ['--unfreeze', place])
    const stood = fleet.news().sentBytes
    // More than what an agent may have on its way: something of it has become durable.
    await until(
      'blocks of every agent flow again',
      flowTimeoutMs,
      () =>
        fleet.news().sentBytes.every((bytes, index) => bytes > (stood[index] ?? 0) + leastFlowBytes) ||
        undefined,
    )
    say(
      `  ${sendingMb.toFixed(0)} MB while ${(sentMb / loadSeconds).toFixed(0)} MB/s came, ${stalledMb.toFixed(0)} MB after the disk stood still`,
    )
    return { sendingMb, stalledMb, mbPerSecond: sentMb / loadSeconds }
  } finally {
    fleet.process.kill('SIGKILL')
    await end
  }
}

interface Measured {
  sendingMb: number
  stalledMb: number
  mbPerSecond: number
}

/** What a service costs whose volumes are at `place`. */
async function measureAt(context: BenchContext, place: string): Promise<Measured> {
  const service = await Service.start(context.folder)
  try {
    await mkdir(join(service.folder, 'cloud'), { recursive: true })
    await symlink(place, join(service.folder, 'cloud/volumes'))
    return await measure(context, service, place)
  } finally {
    await service.stop()
  }
}

/** The row `replicator_cost`. */
export async function replicatorCost(context: BenchContext): Promise<Row[]> {
  const { folder, loadSeconds } = context
  const slowClients = await besideSlowClients(context)
  const { sendingMb, stalledMb, mbPerSecond } = await withReflinks(folder, stagingBytes, (place) =>
    measureAt(context, place),
  )
  const row = {
    name: 'replicator_cost',
    unit: 'MB',
    ...alone,
    bound: null,
    budget: `at most ${mostMemoryMb} MB`,
  } as const
  const fleet = `${agentCount} agents with ${agentCount * disksOfAgent} disks`
  return [
    {
      ...row,
      what: `most memory with ${fleet} that all send`,
      ...middleOf([sendingMb]),
      met: sendingMb <= mostMemoryMb,
      limit: `Work under way is bounded by 128 MiB on all connections together, beside a payload of each that arrives or waits; the rest is the program, and a TLS session for each agent. ${mbPerSecond.toFixed(0)} MB/s came`,
    },
    {
      ...row,
      what: `most memory with ${fleet} while the staging disk answers nothing for ${loadSeconds} s`,
      ...middleOf([stalledMb]),
      met: stalledMb <= mostMemoryMb,
      limit: 'The same bound: what can not be written is not read from the connections either',
    },
    slowClients,
  ]
}
