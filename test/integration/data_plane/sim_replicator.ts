/**
 * A real replicator on simulated media, without a network: it can be killed with or without the power of its machine, and its disks can
 * fail.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import { pino } from 'pino'
import type { ServerCheckpoint } from '../../../replicator/checkpoint.ts'
import type { DocumentStore } from '../../../replicator/checkpoint.ts'
import { defaultLimits } from '../../../replicator/listener.ts'
import { PayloadPool } from '../../../replicator/payload_pool.ts'
import { Registry } from '../../../replicator/registry.ts'
import { Session } from '../../../replicator/session.ts'
import { StateDirectory } from '../../../replicator/state_directory.ts'
import type { VolumeParts } from '../../../replicator/volume_parts.ts'
import type { ConsistencyReached, ReplicatorDesired } from '../../../wire/control_api.ts'
import { maxBarrierReadMs } from '../../../wire/limits.ts'
import { SimDocument } from '../../unit/replicator/sim_disk.ts'
import type { SimVolume } from '../../unit/replicator/sim_volume.ts'

type Assignment = ReplicatorDesired['assignments'][number]

/** The certificate that the simulated agent shows. */
export const agentPeer = { sourceServerId: 's-1', serial: 'ab' }

/** What a test puts between the replicator and the parts of a volume. */
export type PartsWrapper = (parts: VolumeParts, diskIndex: number) => VolumeParts

/** State and volumes on simulated media. */
class SimState extends StateDirectory {
  readonly #replicator: SimReplicator

  constructor(replicator: SimReplicator) {
    super('/simulated', () => Promise.reject(new Error('Nothing here has a lease')))
    this.#replicator = replicator
  }

  override serverCheckpoint(): DocumentStore<ServerCheckpoint> {
    return this.#replicator.record.open()
  }

  override openParts(volume: Assignment['volumes'][number]): Promise<VolumeParts> {
    const { volumes, wrap } = this.#replicator
    const sim = volumes[volume.diskIndex]
    if (sim === undefined) throw new Error(`No volume for disk ${volume.diskIndex}`)
    return Promise.resolve(wrap(sim.parts(), volume.diskIndex))
  }

  override forgetVolume(): Promise<void> {
    return Promise.resolve()
  }

  override forgetOthers(): Promise<void> {
    return Promise.resolve()
  }
}

/** One replication server over many lives of its process. */
export class SimReplicator {
  volumes: readonly SimVolume[]
  record: SimDocument<ServerCheckpoint>
  /** Points that were told to the gateway, in any life. */
  readonly announced: ConsistencyReached[] = []
  readonly log: Logger
  readonly logLines: string[] = []
  wrap: PartsWrapper = (parts) => parts
  /** How long it reads behind a barrier, from the next start on. */
  barrierReadMs = maxBarrierReadMs
  #registry: Registry | undefined
  readonly #sessions = new Set<Duplex>()
  #point: Assignment['consistencyPoint']

  constructor(volumes: readonly SimVolume[], random: () => number) {
    this.volumes = volumes
    this.record = new SimDocument(random)
    this.log = pino({ level: 'info' }, { write: (line: string) => void this.logLines.push(line) })
  }

  get isRunning(): boolean {
    return this.#registry !== undefined
  }

  /** The registry of this life. @throws Error while it does not run. */
  get registry(): Registry {
    if (this.#registry === undefined) throw new Error('The simulated replicator does not run')
    return this.#registry
  }

  /** A process starts and hears from the gateway. */
  async start(): Promise<void> {
    this.#registry = new Registry({
      replicationServerId: 'i-1',
      state: new SimState(this),
      announce: (reached) => {
        this.announced.push(reached)
        return Promise.resolve()
      },
      log: this.log,
      barrierReadMs: this.barrierReadMs,
    })
    await this.heartbeat()
  }

  /** A heartbeat is answered with the same assignment, and the point that the gateway has in mind. */
  async heartbeat(): Promise<void> {
    const registry = this.#registry
    if (registry === undefined) return
    const assignment: Assignment = {
      sourceServerId: agentPeer.sourceServerId,
      certificateSerials: [agentPeer.serial],
      volumes: this.volumes.map((volume, diskIndex) => ({
        diskIndex,
        volumeId: `vol-${diskIndex}`,
        devicePath: `/simulated/${diskIndex}`,
        sizeBytes: volume.data.sizeBytes,
      })),
      ...(this.#point === undefined ? {} : { consistencyPoint: this.#point }),
    }
    const { beat } = registry.beginBeat()
    registry.apply({ assignments: [assignment], renewCertificate: false, heartbeatIntervalMs: 1000 }, beat)
    await registry.applied()
  }

  /** The gateway's word on a point. */
  async setPoint(point: Assignment['consistencyPoint']): Promise<void> {
    this.#point = point
    await this.heartbeat()
  }

  /** It comes back on another machine, or with its state directory lost: nothing is known of these volumes, nor of the agent. */
  replaceAll(volumes: readonly SimVolume[], random: () => number): void {
    this.volumes = volumes
    this.record = new SimDocument(random)
  }

  /** An agent's connection has come in, its handshake over. */
  accept(socket: Duplex): void {
    const registry = this.registry
    this.#sessions.add(socket)
    socket.once('close', () => this.#sessions.delete(socket))
    const session = new Session({
      socket,
      peer: agentPeer,
      serverOf: (peer) => registry.serverOf(peer),
      pool: new PayloadPool(defaultLimits.maxUnderWayBytes),
      log: this.log,
      helloDeadlineMs: 10_000,
    })
    this.log.debug({ serial: session.serial }, 'Connection accepted')
  }

  /** The process is killed, with the power of its machine or alone. */
  kill(isPowerLost: boolean): void {
    this.#registry = undefined
    for (const volume of this.volumes) volume.end(isPowerLost)
    this.record.crash()
    for (const socket of this.#sessions) socket.destroy()
    this.#sessions.clear()
  }
}
