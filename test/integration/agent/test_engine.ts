/**
 * The agent's engine with real disks and trackers, against a real replicator in this process; the test plays the gateway.
 * @module
 */
import { tmpdir } from 'node:os'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import type { EngineContext } from '../../../agent/sync/engine_context.ts'
import type { Note } from '../../../agent/sync/note_box.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import type { AgentDesired } from '../../../wire/control_api.ts'
import { systemClock } from '../../../agent/clock.ts'
import { planFreeze } from '../../../agent/consistency/freeze_plan.ts'
import { openDevice } from '../../../agent/disk/device_source.ts'
import { machineFiles } from '../../../agent/inventory/system_files.ts'
import { LineLog } from '../../../agent/log.ts'
import { runCommand } from '../../../agent/run_command.ts'
import { StateFiles } from '../../../agent/state_files.ts'
import { Engine } from '../../../agent/sync/engine.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { chooseTracker, prepareTracing } from '../../../agent/tracking/choose.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TraceInstance } from '../../../agent/tracking/trace_instance.ts'
import { traceInstanceName, TrackFolder, trackKey } from '../../../agent/tracking/track_folder.ts'
import { until } from '../../fixtures/waiting.ts'
import { digestOf } from './loop_disk.ts'
import type { Assignment, TestReplicator } from '../replicator/test_replicator.ts'
import { makeSparseFile } from '../replicator/test_replicator.ts'

/** What a test changes about the engine. */
export interface TestEngineOptions {
  /** Devices and their sizes, in the order of their index. */
  disks: { deviceName: string; sizeBytes: number; attachmentId?: string }[]
  generation?: number
  /** Ring buffer of the trace, KiB. */
  bufferKb?: number
  wrapSource?: (source: BlockSource) => BlockSource
  wrapTracker?: (tracker: Tracker) => Tracker
  /** A folder to go on with after a restart. */
  stateFolder?: string
  context?: Partial<EngineContext>
}

/** One run of the engine. */
export class TestEngine {
  readonly engine: Engine
  readonly replicator: TestReplicator
  readonly stateFolder: string
  readonly notes: Note[] = []
  readonly logLines: string[] = []
  assignment: Assignment
  desired: AgentDesired
  #running: Promise<void>

  private constructor(
    replicator: TestReplicator,
    options: TestEngineOptions,
    context: EngineContext,
    log: string[],
  ) {
    this.replicator = replicator
    this.logLines = log
    this.stateFolder = options.stateFolder ?? ''
    this.engine = new Engine({ ...context, ...options.context })
    this.assignment = replicator.assignment(options.disks.map((disk) => disk.sizeBytes))
    this.desired = {
      mode: 'REPLICATE',
      replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port: replicator.listener.port },
      disks: options.disks.map((disk, diskIndex) => ({
        diskIndex,
        stableId: disk.deviceName,
        volumeId: `vol-${diskIndex}`,
        ...disk,
      })),
      throttleBitsPerSecond: 0,
      rescanEpoch: 0,
      renewCertificate: false,
      heartbeatIntervalMs: 500,
    }
    this.#running = this.engine.run()
  }

  static async start(replicator: TestReplicator, options: TestEngineOptions): Promise<TestEngine> {
    const lines: string[] = []
    const log = new LineLog({ write: (line: string) => lines.push(line) }, Date.now)
    const stateFolder = options.stateFolder ?? mkdtempSync(join(tmpdir(), 'rehost-agent-'))
    const files = new StateFiles(stateFolder)
    await files.prepare()
    const isRoot = process.getuid?.() === 0
    const refusal = await prepareTracing(runCommand, isRoot)
    const key = trackKey(stateFolder)
    const folder = new TrackFolder({
      path: join(stateFolder, 'tracking'),
      instanceName: traceInstanceName(key),
      bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
      generation: options.generation ?? 1,
      newRingId: randomUUID,
    })
    const { bufferKb } = options
    const hub = new TraceHub(systemClock, {
      folder,
      warn: (message) => log.warning(message),
      ...(bufferKb === undefined ? {} : { bufferKb }),
    })
    const { certPem, keyPem } = replicator.agentCertificate
    const test = new TestEngine(
      replicator,
      { ...options, stateFolder },
      {
        clock: systemClock,
        log,
        random: Math.random,
        run: runCommand,
        sourceServerId: 's-1',
        agentVersion: '0.0.0-test',
        generation: options.generation ?? 1,
        identity: () => ({ caPem: replicator.ca.caPem, certificatePem: certPem, keyPem }),
        openSource: async (name) =>
          (options.wrapSource ?? ((source) => source))(await openDevice(name, systemClock)),
        chooseTracker: async (source, volume) => {
          const facts = (await machineFiles.facts(source.deviceName)) ?? { kind: 'other', sizeBytes: 0 }
          const tracker = await chooseTracker({
            source,
            facts,
            tracingRefusal: refusal,
            hub,
            room: new PieceRoom(),
            volume,
            clock: systemClock,
          })
          return (options.wrapTracker ?? ((chosen) => chosen))(tracker)
        },
        ...(refusal === undefined ? { kept: hub } : {}),
        isOffered: () => true,
        planFreeze: (names) =>
          planFreeze(machineFiles, new Set(names.map((name) => name.replace('/dev/', '')))),
        findHooks: () => Promise.resolve({ preFreeze: [], postThaw: [] }),
        memory: await files.openMemory(() => undefined),
        onChange: () => undefined,
      },
      lines,
    )
    for (const [index, { sizeBytes }] of options.disks.entries()) {
      if (!existsSync(replicator.volumePath(index))) makeSparseFile(replicator.volumePath(index), sizeBytes)
    }
    await replicator.assign(test.assignment)
    test.apply()
    return test
  }

  /** The gateway's next answer. */
  apply(changes: Partial<AgentDesired> = {}): void {
    this.desired = { ...this.desired, ...changes }
    this.engine.apply(this.desired)
    this.notes.push(...this.engine.takeNotes())
  }

  async untilContinuous(timeoutMs = 60_000): Promise<void> {
    await until(
      'replication is continuous',
      () => Promise.resolve(this.engine.report().state === 'CONTINUOUS'),
      timeoutMs,
      20,
    )
  }

  /** Everything known now is durable. */
  async untilCaughtUp(): Promise<void> {
    const from = Date.now()
    await until(
      'everything up to now is durable',
      () => Promise.resolve((this.engine.report().lastConsistentAtMs ?? 0) > from),
      60_000,
      20,
    )
  }

  /**
   * Asks for a consistency point and waits for the replicator's word.
   * @throws Error with the agent's reason when it cannot be reached.
   */
  async reachPoint(
    id: string,
    maxFreezeMs = 5000,
    seconds = 60,
  ): Promise<{ method: string; frozenMs: number }> {
    const expiresAt = new Date(Date.now() + seconds * 1000).toISOString()
    await this.assignPoint(id, 'REQUESTED')
    this.apply({ consistencyPoint: { consistencyPointId: id, expiresAt, maxFreezeMs } })
    return until(
      `point ${id} is reached`,
      () => {
        const { consistencyFailure } = this.engine.report()
        if (consistencyFailure !== undefined) throw new Error(consistencyFailure.reason)
        return Promise.resolve(this.replicator.announced.find((reached) => reached.consistencyPointId === id))
      },
      (seconds + 10) * 1000,
      20,
    )
  }

  /** The snapshots are taken: the replicator goes on. */
  async releasePoint(id: string): Promise<void> {
    const { consistencyPoint: _, ...rest } = this.desired
    this.desired = rest
    this.apply()
    await this.assignPoint(id, 'TAKEN')
  }

  async assignPoint(id: string, state: 'REQUESTED' | 'TAKEN'): Promise<void> {
    this.assignment = { ...this.assignment, consistencyPoint: { consistencyPointId: id, state } }
    await this.replicator.assign(this.assignment)
  }

  /** Digest of the copy of disk `index`. */
  volumeDigest(index = 0): Promise<string> {
    return digestOf(this.replicator.volumePath(index))
  }

  async stop(): Promise<void> {
    this.engine.stop()
    await this.#running
  }

  async end(): Promise<void> {
    await this.stop()
    const name = traceInstanceName(trackKey(this.stateFolder))
    // Where there is no tracing there is nothing to remove.
    if (process.getuid?.() === 0 && !(await TraceInstance.remove(name)))
      throw new Error(`Cannot remove the tracing instance ${name}: somebody has a file of it open`)
    rmSync(this.stateFolder, { recursive: true, force: true })
  }
}
