/**
 * A process of its own that plays a fleet of agents: each with its own certificate and connection, all heartbeats at even distances. Told a file, the
 * heartbeats a second and the seconds; says what it measured as JSON.
 *
 * A heartbeat's time counts from the moment at which it was due, so that a gateway that falls behind can't hide it.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import type { AgentHeartbeat } from '../../wire/control_api.ts'
import type { EnrolledAgent, FleetFile, HeartbeatResult } from './fleet_file.ts'
import { gatewayServerName } from '../../wire/control_api.ts'

const callTimeoutMs = 10_000
/** First calls at once: each is a handshake. */
const handshakesAtOnce = 16

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

const [path = '', rateText = '', secondsText = ''] = process.argv.slice(2)
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

const callers = fleet.agents.map(callerOf)
for (let first = 0; first < callers.length; first += handshakesAtOnce)
  await Promise.all(callers.slice(first, first + handshakesAtOnce).map((call) => call()))

const perSecond = Number(rateText)
const due = perSecond * Number(secondsText)
const milliseconds: number[] = []
let failures = 0
const pending: Promise<void>[] = []
const begin = performance.now()
for (let index = 0; index < due;) {
  const elapsed = performance.now() - begin
  for (; index < due && (index * 1000) / perSecond <= elapsed; index++) {
    const dueAt = begin + (index * 1000) / perSecond
    const call = callers[index % callers.length]
    if (call === undefined) break
    pending.push(
      call().then(
        (status) => {
          if (status === 200) milliseconds.push(performance.now() - dueAt)
          else failures += 1
        },
        () => void (failures += 1),
      ),
    )
  }
  await new Promise((resolve) => setTimeout(resolve, 1))
}
await Promise.all(pending)
// A pipe takes no more than 64 KiB at once: an end before the rest has gone would cut it off.
process.stdout.write(JSON.stringify({ milliseconds, failures, due } satisfies HeartbeatResult), () =>
  process.exit(0),
)
