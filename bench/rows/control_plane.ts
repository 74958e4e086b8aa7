/**
 * The gateway with a large fleet, on one core: heartbeats over mutual TLS, and the list of servers meanwhile.
 * @module
 */
import { join } from 'node:path'
import type { Store } from '../../store/store.ts'
import type { BenchContext } from '../context.ts'
import type { HeartbeatResult } from '../fleet/fleet_file.ts'
import type { Row } from '../row.ts'
import { run, until } from '../command.ts'
import { enrolFleet } from '../fleet/enrol.ts'
import { seedFleet, storeOfProcess } from '../fleet/seed.ts'
import { processorSeconds } from '../process_facts.ts'
import { figure, percentile } from '../row.ts'
import { Service } from '../service.ts'

const serverCount = 10_000
const agentCount = 1000
const heartbeatsPerSecond = 1000
const mostHeartbeatMs = 50
const mostListMs = 100
const diskSizeBytes = [32 * 2 ** 30]
const gatewayCore = '0'
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

/** Reads a second that the store answers to one client on the other core: what no gateway before it can exceed. */
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

interface Measured {
  heartbeats: HeartbeatResult
  pageMs: number[]
  apiMs: number[]
  storeReads: number
  /** Of the gateway, while the heartbeats came. */
  processorSeconds: number
}

async function measure(context: BenchContext, service: Service): Promise<Measured> {
  const { folder, loadSeconds, say } = context
  const { gateway = 0, workers = 0 } = service.pids()
  const store = await storeOfProcess(gateway)
  // The fleet has no machines: nobody is to raise staging areas for it, or to miss its volumes.
  process.kill(workers, 'SIGSTOP')
  try {
    const file = join(folder, 'fleet.json')
    const agents = await enrolFleet(service, file, { count: agentCount, diskSizeBytes })
    const ids = agents.map(({ sourceServerId }) => sourceServerId)
    await seedFleet(store, ids, serverCount)
    say(`  ${agentCount} agents enrolled, ${serverCount} servers stored`)
    await run('taskset', ['--all-tasks', '--pid', '--cpu-list', gatewayCore, String(gateway)])
    const cookie = await signIn(service)
    const page = async (): Promise<string> => {
      const response = await fetch(`${service.httpUrl}/servers`, { headers: { cookie } })
      return await response.text()
    }
    await until('the dashboard shows the whole fleet', readyTimeoutMs, async () =>
      /10[,.  ]?000/.test(await page()) ? true : undefined,
    )
    const storeReads = await storeReadsPerSecond(store, ids)
    const before = await processorSeconds(gateway)
    const abort = new AbortController()
    const program = join(import.meta.dirname, '../fleet/heartbeats.ts')
    const sending = run(process.execPath, [
      ...process.execArgv,
      program,
      file,
      String(heartbeatsPerSecond),
      String(loadSeconds),
    ]).finally(() => abort.abort())
    const pages = timesOf(async () => void (await page()), abort.signal)
    const lists = timesOf(async () => void (await service.api.get('/servers?limit=100')), abort.signal)
    const heartbeats = JSON.parse((await sending).stdout) as HeartbeatResult
    const used = (await processorSeconds(gateway)) - before
    return { heartbeats, pageMs: await pages, apiMs: await lists, storeReads, processorSeconds: used }
  } finally {
    await store.close()
    process.kill(workers, 'SIGCONT')
  }
}

/** The row `control_plane`. */
export async function controlPlane(context: BenchContext): Promise<Row[]> {
  const service = await Service.start(context.folder)
  try {
    const { heartbeats, pageMs, apiMs, storeReads, processorSeconds: used } = await measure(context, service)
    const { milliseconds, failures, due } = heartbeats
    const p99 = percentile([...milliseconds, ...Array<number>(failures).fill(Infinity)], 0.99)
    const pageP95 = percentile(pageMs, 0.95)
    const apiP95 = percentile(apiMs, 0.95)
    context.say(
      `  heartbeats p50 ${percentile(milliseconds, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${failures} of ${due} failed; ` +
        `page p95 ${pageP95.toFixed(0)} ms, API p95 ${apiP95.toFixed(0)} ms`,
    )
    const none = { peer: null, peerValue: null, ratio: null } as const
    const fleet = `${serverCount} servers, gateway on one core`
    const limit = `The embedded store answers ${figure(storeReads)} reads of a server a second to one client, and the gateway reads what it does not hold; it used ${figure((used / due) * 1e6)} microseconds of its core for each heartbeat, lists included`
    return [
      {
        name: 'control_plane',
        what: `heartbeat, 99th percentile, ${heartbeatsPerSecond} a second over mutual TLS, ${fleet}`,
        value: p99,
        unit: 'ms',
        ...none,
        budget: `at most ${mostHeartbeatMs} ms`,
        met: p99 <= mostHeartbeatMs,
        runs: [percentile(milliseconds, 0.5), percentile(milliseconds, 0.95), p99],
        limit: `${limit}. The single figures are the 50th, 95th and 99th percentile; ${failures} of ${due} heartbeats failed`,
      },
      {
        name: 'control_plane',
        what: `list of servers as a page, 95th percentile, while those heartbeats come, ${fleet}`,
        value: pageP95,
        unit: 'ms',
        ...none,
        budget: `at most ${mostListMs} ms`,
        met: pageP95 <= mostListMs,
        runs: pageMs,
        limit: 'The servers are held in memory and filtered and sorted for each page; 50 rows are drawn',
      },
      {
        name: 'control_plane',
        what: `list of the first 100 servers by the API, 95th percentile, while those heartbeats come, ${fleet}`,
        value: apiP95,
        unit: 'ms',
        ...none,
        budget: `at most ${mostListMs} ms`,
        met: apiP95 <= mostListMs,
        runs: apiMs,
        limit: 'The servers are held in memory; 100 of them are written as JSON with their live figures',
      },
    ]
  } finally {
    await service.stop()
  }
}
