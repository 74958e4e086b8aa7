/**
 * The gateway with a large fleet, on one core that it has for itself: heartbeats over mutual TLS, and the list of servers meanwhile.
 * @module
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Store } from '../../store/store.ts'
import type { BenchContext } from '../context.ts'
import type { HeartbeatResult } from '../fleet/fleet_file.ts'
import type { Row } from '../row.ts'
import { ended, until } from '../command.ts'
import { withCoreFor } from '../cores.ts'
import { enrolFleet } from '../fleet/enrol.ts'
import { countingBegins } from '../fleet/fleet_file.ts'
import { controlPlaneRow, failed, heartbeatRows, heartbeatsPerSecond } from '../fleet/heartbeat_rows.ts'
import { seedFleet, storeOfProcess } from '../fleet/seed.ts'
import { processorSeconds } from '../process_facts.ts'
import { figure, percentileOf } from '../row.ts'
import { Service } from '../service.ts'

const serverCount = 10_000
const agentCount = 1000
/** Agents connect, and the gateway comes to know its fleet: a figure of its own. */
const firstSeconds = 15
const mostListMs = 100
const diskSizeBytes = [32 * 2 ** 30]
/** Lists asked for while heartbeats come, one after the other at this distance. */
const listEveryMs = 250
const storeSeconds = 3
const storeRequestsAtOnce = 16
const readyTimeoutMs = 120_000

/** Milliseconds of each of the lists that `ask` gets until `signal` is aborted. */
async function timesOf(ask: () => Promise<void>, signal: AbortSignal): Promise<number[]> {
  const times: number[] = []
  while (!signal.aborted) {
    const begin = performance.now()
    await ask()
    times.push(performance.now() - begin)
    await new Promise((resolve) => setTimeout(resolve, listEveryMs))
  }
  return times
}

/** Reads a second that the store answers to one client with nothing else to do: what no gateway before it can exceed. */
async function storeReadsPerSecond(store: Store, ids: readonly string[]): Promise<number> {
  let done = 0
  const begin = performance.now()
  const lane = async (): Promise<void> => {
    while (performance.now() - begin < storeSeconds * 1000) {
      await store.get('server', { id: ids[done % ids.length] ?? '' })
      done += 1
    }
  }
  await Promise.all(Array.from({ length: storeRequestsAtOnce }, lane))
  return done / ((performance.now() - begin) / 1000)
}

/** The session of somebody who signed in. */
async function signIn(service: Service): Promise<string> {
  const response = await fetch(`${service.httpUrl}/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: service.httpUrl },
    body: new URLSearchParams({ userName: 'admin', password: service.adminPassword }).toString(),
    redirect: 'manual',
  })
  const cookie = response.headers.get('set-cookie')?.split(';')[0]
  if (response.status !== 303 || cookie === undefined)
    throw new Error(`Cannot sign in: the dashboard answered ${response.status}`)
  return cookie
}

/** Plays the fleet of `file`; `onCounting` is called when the first seconds are over. */
async function playFleet(file: string, seconds: number, onCounting: () => void): Promise<HeartbeatResult> {
  const program = join(import.meta.dirname, '../fleet/heartbeats.ts')
  const told = [heartbeatsPerSecond, firstSeconds, seconds].map(String)
  const child = spawn(process.execPath, [...process.execArgv, program, file, ...told], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const wasCounting = said.includes(countingBegins)
    said += chunk.toString()
    if (!wasCounting && said.includes(countingBegins)) onCounting()
  })
  const code = await ended(child)
  if (code !== 0) throw new Error(`The process that plays the fleet ended with ${code}`)
  return JSON.parse(said.slice(said.indexOf(countingBegins) + countingBegins.length)) as HeartbeatResult
}

interface Measured {
  heartbeats: HeartbeatResult
  pageMs: number[]
  apiMs: number[]
  storeReads: number
  /** Of the gateway, while heartbeats counted. */
  processorSeconds: number
}

/** Plays the fleet and asks for lists meanwhile. */
async function underLoad(
  service: Service,
  gateway: number,
  play: (onCounting: () => void) => Promise<HeartbeatResult>,
  page: () => Promise<unknown>,
): Promise<Omit<Measured, 'storeReads'>> {
  const abort = new AbortController()
  const counting = Promise.withResolvers<void>()
  const playing = play(counting.resolve).finally(() => abort.abort())
  await Promise.race([counting.promise, playing])
  const before = await processorSeconds(gateway)
  const pages = timesOf(async () => void (await page()), abort.signal)
  const lists = timesOf(async () => void (await service.api.get('/servers?limit=100')), abort.signal)
  await Promise.allSettled([playing, pages, lists])
  const used = (await processorSeconds(gateway)) - before
  return { heartbeats: await playing, pageMs: await pages, apiMs: await lists, processorSeconds: used }
}

async function measure(context: BenchContext, service: Service): Promise<Measured> {
  const { folder, loadSeconds, say } = context
  const { gateway = 0, workers = 0, dynamodb = 0, redis = 0 } = service.pids()
  const store = await storeOfProcess(gateway)
  // The fleet has no machines: nobody is to raise staging areas for it, or to miss its volumes.
  process.kill(workers, 'SIGSTOP')
  try {
    const file = join(folder, 'fleet.json')
    const agents = await enrolFleet(service, file, { count: agentCount, diskSizeBytes })
    const ids = agents.map(({ sourceServerId }) => sourceServerId)
    await seedFleet(store, ids, serverCount)
    say(`  ${agentCount} agents enrolled, ${serverCount} servers stored`)
    const cookie = await signIn(service)
    const page = async (): Promise<string> => {
      const response = await fetch(`${service.httpUrl}/servers`, { headers: { cookie } })
      return await response.text()
    }
    await until('the dashboard shows the whole fleet', readyTimeoutMs, async () =>
      /10[,.  ]?000/.test(await page()) ? true : undefined,
    )
    const storeReads = await storeReadsPerSecond(store, ids)
    const play = (onCounting: () => void): Promise<HeartbeatResult> =>
      playFleet(file, loadSeconds, onCounting)
    const load = () => underLoad(service, gateway, play, page)
    return await withCoreFor(gateway, [dynamodb, redis], async () => {
      const measured = await load()
      await context.profiler.during('the same load once more, its first seconds included', load, () =>
        Promise.resolve({ gateway, store: dynamodb, Redis: redis, 'load and looking on': process.pid }),
      )
      return { ...measured, storeReads }
    })
  } finally {
    await store.close()
    process.kill(workers, 'SIGCONT')
  }
}

/** The row `control_plane`. */
export async function controlPlane(context: BenchContext): Promise<Row[]> {
  const service = await Service.start(context.folder)
  try {
    const measured = await measure(context, service)
    const { heartbeats, storeReads, processorSeconds: used } = measured
    const facts = { storeReads, usedSeconds: used, fleet, agentCount, firstSeconds }
    const rows = [...heartbeatRows(heartbeats, facts), ...listRows(measured)]
    for (const { what, value } of rows) context.say(`  ${figure(value)} ms: ${what}`)
    const { first, counted } = heartbeats
    context.say(`  at first ${failed(first)}; then ${failed(counted)}`)
    return rows
  } finally {
    await service.stop()
  }
}

const fleet = `${serverCount} servers`

function listRows({ pageMs, apiMs }: Measured): Row[] {
  const page = percentileOf(pageMs, 95, 'pages')
  const api = percentileOf(apiMs, 95, 'lists')
  return [
    {
      ...controlPlaneRow,
      what: `list of servers as a page, 95th percentile, while those heartbeats come, ${fleet}`,
      ...page,
      budget: `at most ${mostListMs} ms`,
      met: page.value <= mostListMs,
      limit: 'The servers are held in memory and filtered and sorted for each page; 50 rows are drawn',
    },
    {
      ...controlPlaneRow,
      what: `list of the first 100 servers by the API, 95th percentile, while those heartbeats come, ${fleet}`,
      ...api,
      budget: `at most ${mostListMs} ms`,
      met: api.value <= mostListMs,
      limit: 'The servers are held in memory; 100 of them are written as JSON with their live figures',
    },
  ]
}
