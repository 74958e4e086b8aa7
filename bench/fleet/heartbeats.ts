/**
 * A process of its own that plays a fleet of agents: each with its own certificate and connection, all heartbeats at even distances. Told a file, the
 * heartbeats a second, the seconds to begin with and the seconds that count; says when these begin, and what it measured as JSON.
 *
 * A heartbeat's time counts from the moment at which it was due, so that a gateway that falls behind can't hide it. The first heartbeat of each agent is a
 * handshake too: all of them connect at once, as after a restart of the gateway.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { setPriority } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { AgentHeartbeat } from '../../wire/control_api.ts'
import type { EnrolledAgent, FleetFile, HeartbeatResult, HeartbeatTimes } from './fleet_file.ts'
import { errorMessage } from '../../domain/errors.ts'
import { gatewayServerName } from '../../wire/control_api.ts'
import { stolenSeconds } from '../host.ts'
import { callTimeoutMs, countingBegins } from './fleet_file.ts'

/** Stalls are looked for this often; what is seen of one is up to as much longer. */
const stallGrainMs = 1

/** A server whose copy is current, and whose agent has nothing new to say. */
function quietHeartbeat(diskSizeBytes: readonly number[]): AgentHeartbeat {
  return {
    generation: 1,
    state: 'CONTINUOUS',
    isConnected: true,
    lagMs: 120,
    backlogBytes: 0,
    bytesPerSecond: 0,
    sentBytes: diskSizeBytes.reduce((sum, size) => sum + size, 0),
    rescanEpoch: 0,
    disks: diskSizeBytes.map((sizeBytes, diskIndex) => ({
      diskIndex,
      sizeBytes,
      replicatedBytes: sizeBytes,
      rescannedBytes: 0,
      backlogBytes: 0,
      tracker: { kind: 'tracefs', reason: 'The kernel shows every completed write of this device' },
    })),
    notes: [],
  }
}

const [path = '', rateText = '', firstText = '', countedText = ''] = process.argv.slice(2)
const fleet = JSON.parse(await readFile(path, 'utf8')) as FleetFile
const body = JSON.stringify(quietHeartbeat(fleet.diskSizeBytes))
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
const url = new URL('/agent/v1/heartbeat', fleet.gatewayUrl)

/** What makes one agent's call; it resolves with the answer's status. */
function callerOf({ certificatePem, keyPem }: EnrolledAgent): () => Promise<number> {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    ca: fleet.caPem,
    cert: certificatePem,
    key: keyPem,
    minVersion: 'TLSv1.3',
    servername: gatewayServerName,
  })
  return () =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        { method: 'POST', agent, headers, timeout: callTimeoutMs },
        (incoming) => {
          incoming.on('end', () => resolve(incoming.statusCode ?? 0))
          incoming.resume()
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error('No answer')))
      outgoing.on('error', reject)
      outgoing.end(body)
    })
}

/** Store and Redis share its processor: what is late because of them should not count as the gateway's. Only root may have it. */
const precedence = -15
try {
  setPriority(precedence)
} catch (error) {
  process.stderr.write(`The load has no precedence over store and Redis: ${errorMessage(error)}\n`)
}

const callers = fleet.agents.map(callerOf)
const perSecond = Number(rateText)
const pending: Promise<void>[] = []

/** One heartbeat, and how long after `dueAt` it was answered. */
async function beat(
  call: () => Promise<number>,
  dueAt: number,
  index: number,
  times: HeartbeatTimes,
): Promise<void> {
  const status = await call().catch(() => 0)
  if (status === 200) times.milliseconds[index] = performance.now() - dueAt
  else times.failures += 1
}

/** Sends for so many seconds. What is not answered by then is waited for later: the load goes on without a break. */
async function load(seconds: number): Promise<HeartbeatTimes> {
  const due = perSecond * seconds
  const milliseconds = Array.from({ length: due }, () => callTimeoutMs)
  const times: HeartbeatTimes = { milliseconds, failures: 0, stolenShares: [] }
  const begin = performance.now()
  let second = { at: begin, stolen: await stolenSeconds() }
  for (let index = 0; index < due;) {
    const elapsed = performance.now() - begin
    for (; index < due && (index * 1000) / perSecond <= elapsed; index++) {
      const call = callers[index % callers.length]
      if (call !== undefined) pending.push(beat(call, begin + (index * 1000) / perSecond, index, times))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
    const secondsOver = Math.floor(index / perSecond)
    if (secondsOver === times.stolenShares.length) continue
    const now = { at: performance.now(), stolen: await stolenSeconds() }
    const share = (now.stolen - second.stolen) / ((now.at - second.at) / 1000)
    while (times.stolenShares.length < secondsOver) times.stolenShares.push(share)
    second = now
  }
  return times
}

const first = await load(Number(firstText))
process.stdout.write(`${countingBegins}\n`)
const stalls = monitorEventLoopDelay({ resolution: stallGrainMs })
stalls.enable()
const before = process.cpuUsage()
const begin = performance.now()
const counted = await load(Number(countedText))
const { user, system } = process.cpuUsage(before)
const coreShare = (user + system) / 1000 / (performance.now() - begin)
stalls.disable()
await Promise.all(pending)
const longestStallMs = Math.max(0, stalls.max / 1e6 - stallGrainMs)
// A pipe takes no more than 64 KiB at once: an end before the rest has gone would cut it off.
process.stdout.write(
  JSON.stringify({ first, counted, longestStallMs, coreShare } satisfies HeartbeatResult),
  () => process.exit(0),
)
