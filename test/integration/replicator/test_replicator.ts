/**
 * A replicator in this process, without a gateway: tests give it its assignments and see what it announces.
 * @module
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Disk } from '../../../replicator/disk.ts'
import type { HostLease } from '../../../host/lease.ts'
import { takeLease } from '../../../replicator/lease.ts'
import { startListener } from '../../../replicator/listener.ts'
import type { Listener, ListenerLimits } from '../../../replicator/listener.ts'
import { Registry } from '../../../replicator/registry.ts'
import { StateDirectory } from '../../../replicator/state_directory.ts'
import type { VolumeParts } from '../../../replicator/volume_parts.ts'
import { agentUri, replicatorServerName, replicatorUri } from '../../../wire/control_api.ts'
import type { ConsistencyReached, ReplicatorDesired } from '../../../wire/control_api.ts'
import { maxBarrierReadMs } from '../../../wire/limits.ts'
import { WireError } from '../../../wire/wire_error.ts'
import type { TestCa, TestCertificate } from '../../fixtures/test_ca.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import type { TestAgentOptions } from './test_agent.ts'
import { TestAgent } from './test_agent.ts'

export type Assignment = ReplicatorDesired['assignments'][number]

/** A sparse file of `sizeBytes`, all zero. */
export function makeSparseFile(path: string, sizeBytes: number): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, sizeBytes)
  closeSync(file)
}

/** What a test puts between the replicator and a disk; by default nothing. */
export type DiskWrapper = (disk: Disk, volumeId: string) => Disk

/** State whose data disks go through a wrapper. */
class WrappedState extends StateDirectory {
  wrap: DiskWrapper = (disk) => disk

  override async openParts(volume: Assignment['volumes'][number]): Promise<VolumeParts> {
    const parts = await super.openParts(volume)
    return { ...parts, data: this.wrap(parts.data, volume.volumeId) }
  }
}

/** Kept, so that their files are not closed by the garbage collector: a killed process closes nothing either. */
const killed: Registry[] = []

/** Everything around one replicator, on loopback and in a temporary folder. */
export class TestReplicator {
  readonly folder: string
  readonly ca: TestCa
  readonly #certificate: TestCertificate
  /** The certificate of source server s-1. */
  readonly agentCertificate: TestCertificate
  readonly announced: ConsistencyReached[] = []
  readonly logLines: Record<string, unknown>[] = []
  readonly #leases = new Set<HostLease>()
  nudges = 0
  /** Applied to data disks when they are opened. */
  wrap: DiskWrapper = (disk) => disk
  /** How long it reads behind a barrier, from the next {@link TestReplicator.open} on. */
  barrierReadMs = maxBarrierReadMs
  registry!: Registry
  listener!: Listener

  private constructor(folder: string, ca: TestCa, own: TestCertificate, agent: TestCertificate) {
    this.folder = folder
    this.ca = ca
    this.#certificate = own
    this.agentCertificate = agent
  }

  static async start(limits: Partial<ListenerLimits> = {}): Promise<TestReplicator> {
    const ca = await makeTestCa()
    const own = await ca.issue({ uri: replicatorUri('i-1'), dns: [replicatorServerName] })
    const agent = await ca.issue({ uri: agentUri('s-1') })
    const replicator = new TestReplicator(mkdtempSync(join(tmpdir(), 'rehost-replicator-')), ca, own, agent)
    await replicator.open(limits)
    return replicator
  }

  /** Starts listening; nobody is assigned yet. */
  async open(limits: Partial<ListenerLimits> = {}): Promise<void> {
    const state = new WrappedState(join(this.folder, 'state'), async (name) => {
      const lease = await takeLease(name)
      this.#leases.add(lease)
      return lease
    })
    state.wrap = (disk, volumeId) => this.wrap(disk, volumeId)
    await state.prepare()
    const write = (line: string): void => void this.logLines.push(JSON.parse(line) as Record<string, unknown>)
    const log = pino({ level: 'debug' }, { write })
    this.registry = new Registry({
      replicationServerId: 'i-1',
      state,
      announce: (reached) => {
        this.announced.push(reached)
        return Promise.resolve()
      },
      log,
      barrierReadMs: this.barrierReadMs,
    })
    this.listener = await startListener({
      host: '127.0.0.1',
      port: 0,
      credentials: { cert: this.#certificate.certPem, key: this.#certificate.keyPem, ca: this.ca.caPem },
      serverOf: (peer) => this.registry.serverOf(peer),
      onUnassigned: () => this.nudges++,
      onExpired: (peer, refusal) => this.registry.noteExpired(peer, refusal),
      log,
      limits,
    })
  }

  /** As if the process were killed: connections drop, nothing is flushed or saved, the kernel frees what was leased. */
  async kill(): Promise<void> {
    killed.push(this.registry)
    this.listener.stopAccepting()
    this.listener.destroyAll()
    await this.#releaseAll()
  }

  async close(): Promise<void> {
    this.listener.stopAccepting()
    await this.registry.close(new WireError('SHUTTING_DOWN', 'The test is over'))
    this.listener.destroyAll()
    await this.#releaseAll()
  }

  async #releaseAll(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => lease.release()))
    this.#leases.clear()
  }

  async end(): Promise<void> {
    await this.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** An assignment of s-1 with one volume per size, its files in the folder. */
  assignment(sizes: readonly number[], changes: Partial<Assignment> = {}): Assignment {
    return {
      sourceServerId: 's-1',
      certificateSerials: [this.agentCertificate.serial.toUpperCase()],
      volumes: sizes.map((sizeBytes, diskIndex) => ({
        diskIndex,
        volumeId: `vol-${diskIndex}`,
        devicePath: this.volumePath(diskIndex),
        sizeBytes,
      })),
      ...changes,
    }
  }

  volumePath(diskIndex: number): string {
    return join(this.folder, `disk-${diskIndex}.raw`)
  }

  /** A heartbeat is sent, and answered with these assignments. */
  async assign(...assignments: Assignment[]): Promise<void> {
    const { beat } = this.registry.beginBeat()
    this.registry.apply({ assignments, renewCertificate: false, heartbeatIntervalMs: 1000 }, beat)
    await this.registry.applied()
  }

  async connect(changes: Partial<TestAgentOptions> = {}): Promise<TestAgent> {
    return await TestAgent.connect({
      port: this.listener.port,
      caPem: this.ca.caPem,
      certificate: this.agentCertificate,
      ...changes,
    })
  }
}
