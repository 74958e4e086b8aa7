/**
 * The agent's real engine on simulated disks, connected to a simulated replicator; the test plays the gateway. Each run can be killed.
 * @module
 */
import type { EngineContext } from '../../../agent/sync/engine_context.ts'
import type { AgentDesired } from '../../../wire/control_api.ts'
import { LineLog } from '../../../agent/log.ts'
import type { ConnectionPlan } from '../../../agent/sync/connection_plan.ts'
import { Engine } from '../../../agent/sync/engine.ts'
import type { Clock } from '../../../agent/clock.ts'
import { randomInt } from '../../fixtures/seed.ts'
import type { LinkFaults } from './sim_link.ts'
import { SimLink } from './sim_link.ts'
import type { SimReplicator } from './sim_replicator.ts'
import type { SimSource } from './sim_source.ts'
import { passTracker } from './sim_tracker.ts'

/** The machine that an agent runs on. */
export interface SimMachine {
  clock: Clock
  sources: readonly SimSource[]
  /** Indexes of the disks that no tracker sees. */
  untracked: ReadonlySet<number>
  random: () => number
  /** Of an event at the trackers, now. */
  lossChance: () => number
  /** Where its connections end: in this process, or at a port. */
  far:
    | { replicator: SimReplicator; /** For the next connection. */ linkFaults: () => LinkFaults }
    | { sourceServerId: string; port: number; identity: ReturnType<EngineContext['identity']> }
  connectionPlan: () => ConnectionPlan
  /** Volumes that hold a whole first copy: kept across runs. */
  complete: Set<string>
  /** Rescans that the operator has asked for, of any run. */
  rescanEpoch: number
}

/** One run. */
export class SimAgent {
  readonly engine: Engine
  readonly logLines: string[] = []
  readonly #machine: SimMachine
  readonly #links = new Set<SimLink>()
  readonly #running: Promise<void>
  #isKilled = false
  #desired: AgentDesired

  constructor(machine: SimMachine, generation: number) {
    this.#machine = machine
    const { clock, sources, untracked, random, lossChance, complete, far } = machine
    const indexOf = (deviceName: string): number =>
      sources.findIndex((source) => source.deviceName === deviceName)
    const sourceOf = (deviceName: string): SimSource => {
      const source = sources[indexOf(deviceName)]
      if (source === undefined) throw new Error(`No disk ${deviceName}`)
      return source
    }
    const context: EngineContext = {
      clock,
      log: new LineLog({ write: (line: string) => this.logLines.push(line) }, () => clock.nowMs()),
      random,
      run: () => Promise.reject(new Error('Nothing is run here')),
      sourceServerId: 'port' in far ? far.sourceServerId : 's-1',
      agentVersion: 'simulated',
      generation,
      identity: () => ('port' in far ? far.identity : { caPem: '', certificatePem: '', keyPem: '' }),
      openSource: (deviceName) => Promise.resolve(sourceOf(deviceName).open()),
      chooseTracker: ({ deviceName }, { sizeBytes }) =>
        Promise.resolve(
          untracked.has(indexOf(deviceName))
            ? passTracker()
            : sourceOf(deviceName).tracker(lossChance, generation, sizeBytes),
        ),
      kept: {
        retain: () => Promise.resolve(),
        leave: () => {
          for (const source of sources) source.leave()
          return Promise.resolve()
        },
      },
      isOffered: () => true,
      planFreeze: () => Promise.resolve(undefined),
      findHooks: () => Promise.resolve({ preFreeze: [], postThaw: [] }),
      memory: {
        isComplete: (volumeId) => complete.has(volumeId),
        setComplete: (volumeId, isComplete) => {
          if (isComplete) complete.add(volumeId)
          else complete.delete(volumeId)
          return Promise.resolve()
        },
      },
      onChange: () => undefined,
      connectionPlan: machine.connectionPlan,
      ...('port' in far
        ? {}
        : { connectLink: () => Promise.resolve(this.#connect(far.replicator, far.linkFaults())) }),
    }
    this.engine = new Engine(context)
    this.#desired = {
      mode: 'REPLICATE',
      replicator: {
        replicationServerId: 'i-1',
        address: '127.0.0.1',
        port: 'port' in far ? far.port : 1500,
      },
      disks: this.#disks(),
      throttleBitsPerSecond: 0,
      rescanEpoch: machine.rescanEpoch,
      renewCertificate: false,
      heartbeatIntervalMs: 500,
    }
    this.engine.apply(this.#desired)
    this.#running = this.engine.run()
  }

  #disks(): AgentDesired['disks'] {
    const { sources, far } = this.#machine
    return sources.map(({ deviceName, volumeBytes }, diskIndex) => ({
      diskIndex,
      deviceName,
      stableId: deviceName,
      volumeId: 'port' in far ? `vol-${far.sourceServerId}` : `vol-${diskIndex}`,
      sizeBytes: volumeBytes,
    }))
  }

  /** The gateway names the sizes that the volumes have by now. */
  applySizes(): void {
    this.apply({ disks: this.#disks() })
  }

  /** The gateway's answer from now on. */
  get desired(): AgentDesired {
    return this.#desired
  }

  /** The gateway answers something else. */
  apply(changes: Partial<AgentDesired>): void {
    this.#desired = { ...this.#desired, ...changes }
    this.#machine.rescanEpoch = this.#desired.rescanEpoch
    this.engine.apply(this.#desired)
  }

  /** The gateway asks for a point, or for none. */
  applyPoint(consistencyPointId: string | undefined): void {
    const { consistencyPoint: _, ...rest } = this.#desired
    this.#desired = rest
    if (consistencyPointId === undefined) {
      this.engine.apply(this.#desired)
      return
    }
    const expiresAt = new Date(this.#machine.clock.nowMs() + 100_000).toISOString()
    this.apply({ consistencyPoint: { consistencyPointId, expiresAt, maxFreezeMs: 0 } })
  }

  /** Whether it went on with a disk where the run before was. */
  get hasResumed(): boolean {
    return this.logLines.some((line) => line.includes('goes on where the run before was'))
  }

  /** One of the connections that are open, or undefined. */
  anyLink(): SimLink | undefined {
    const links = [...this.#links]
    return links[randomInt(this.#machine.random, 0, links.length - 1)]
  }

  /** It says goodbye and ends. */
  async stop(): Promise<void> {
    this.engine.stop()
    await this.#running
  }

  /** SIGKILL: nothing more of it reaches anybody. */
  async kill(): Promise<void> {
    this.#isKilled = true
    for (const source of this.#machine.sources) source.kill()
    for (const link of this.#links) link.cut()
    await this.stop()
  }

  #connect(replicator: SimReplicator, faults: LinkFaults): SimLink['agentEnd'] {
    if (this.#isKilled || !replicator.isRunning)
      throw Object.assign(new Error('Simulated ECONNREFUSED'), { code: 'ECONNREFUSED' })
    const link = new SimLink(this.#machine.random, faults)
    this.#links.add(link)
    link.agentEnd.once('close', () => this.#links.delete(link))
    replicator.accept(link.replicatorEnd)
    return link.agentEnd
  }
}
