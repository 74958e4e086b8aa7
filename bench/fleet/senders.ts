/**
 * A process of its own that runs the agent's engine and heartbeat for a whole fleet, over disks that are only played. Told a file; says a line when
 * all of it sends, and ends when it is told to.
 * @module
 */
import { readFile } from 'node:fs/promises'
import type { ControlClient } from '../../agent/control_client.ts'
import type { EnrolledAgent, FleetFile } from './fleet_file.ts'
import { systemClock } from '../../agent/clock.ts'
import { HttpsControlClient } from '../../agent/control_client.ts'
import { Heartbeat } from '../../agent/heartbeat.ts'
import { LineLog } from '../../agent/log.ts'
import { runCommand } from '../../agent/run_command.ts'
import { Engine } from '../../agent/sync/engine.ts'
import { sleep } from '../command.ts'
import { inventoryOf } from './enrol.ts'
import { ChangingDisk } from './changing_disk.ts'

const mostCalls = 5

const [path = ''] = process.argv.slice(2)
const fleet = JSON.parse(await readFile(path, 'utf8')) as FleetFile
const ending = new AbortController()
process.on('SIGTERM', () => ending.abort())

/** A file that remembers nothing: a run of the benchmark is one run of each agent. */
const memory = { isComplete: () => false, setComplete: () => Promise.resolve() }

/** A busy gateway answers late: it is asked again, as agents do. @throws what the last of several calls did. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let left = mostCalls; ; left--) {
    try {
      return await call()
    } catch (error) {
      if (left <= 1) throw error
      await sleep(1)
    }
  }
}

/** Starts one agent; resolves with its engine. */
async function startAgent(agent: EnrolledAgent, number: number): Promise<Engine> {
  const { gatewayUrl, caPem, diskSizeBytes } = fleet
  const nowMs = () => systemClock.nowMs()
  const client: ControlClient = new HttpsControlClient({ gatewayUrl, caPem, identity: () => agent, nowMs })
  const sourceProperties = inventoryOf(number, diskSizeBytes)
  const version = '0.0.0-bench'
  const { generation } = await patiently(() =>
    client.start({ version, bootId: `bench-${number}`, sourceProperties }),
  )
  const log = new LineLog({ write: (line) => process.stderr.write(`${number} ${line}`) }, nowMs)
  const engine: Engine = new Engine({
    clock: systemClock,
    log,
    random: Math.random,
    run: runCommand,
    sourceServerId: agent.sourceServerId,
    agentVersion: version,
    generation,
    identity: () => ({ caPem, certificatePem: agent.certificatePem, keyPem: agent.keyPem }),
    openSource: (deviceName) => {
      const disk = sourceProperties.disks.find((candidate) => candidate.deviceName === deviceName)
      if (disk === undefined) throw new Error(`There is no ${deviceName}`)
      return Promise.resolve(new ChangingDisk(deviceName, disk.stableId, disk.sizeBytes))
    },
    chooseTracker: (source) => {
      if (!(source instanceof ChangingDisk)) throw new Error(`${source.deviceName} is not played`)
      return Promise.resolve(source)
    },
    isOffered: () => true,
    planFreeze: () => Promise.resolve(undefined),
    findHooks: () => Promise.reject(new Error('A played machine has no hooks')),
    memory,
    onChange: () => heartbeat.poke(),
  })
  const heartbeat = new Heartbeat({
    client,
    engine,
    generation,
    disks: { untold: undefined, told: () => undefined },
    clock: systemClock,
    random: Math.random,
    log,
    renewIfDue: () => Promise.resolve(),
  })
  void engine.run()
  void heartbeat.run(ending.signal)
  return engine
}

const engines: Engine[] = []
for (const [number, agent] of fleet.agents.entries()) engines.push(await startAgent(agent, number))
const timer = setInterval(() => {
  const sending = engines.filter((engine) => {
    const { isConnected, disks } = engine.report()
    return (
      isConnected &&
      disks.length === fleet.diskSizeBytes.length &&
      disks.every(({ replicatedBytes }) => replicatedBytes > 0)
    )
  })
  const sentBytes = engines.map((engine) => engine.report().sentBytes)
  process.stdout.write(`${JSON.stringify({ sending: sending.length, sentBytes })}\n`)
}, 1000)
ending.signal.addEventListener('abort', () => {
  clearInterval(timer)
  process.exit(0)
})
