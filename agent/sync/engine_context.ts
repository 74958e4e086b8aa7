/**
 * What the engine is made with: the machine it runs on, as it needs to see it.
 * @module
 */
import type { Random } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import type { HookSet } from '../consistency/hooks.ts'
import type { FreezePlan } from '../consistency/freeze_plan.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { DiskLoad } from '../disk/disk_load.ts'
import type { HashThreads } from '../disk/hash_threads.ts'
import type { LineLog } from '../log.ts'
import type { CommandRunner } from '../run_command.ts'
import type { Tracker } from '../tracking/tracker.ts'
import type { CipherSuite } from './cipher_choice.ts'
import type { ConnectionPlan } from './connection_plan.ts'
import type { KeptDisks, TrackedVolume } from './disk_set.ts'
import type { SyncMemory } from './sync_memory.ts'
import type { ConnectLink } from './tls_link.ts'

/** What the engine is made with. */
export interface EngineContext {
  clock: Clock
  log: LineLog
  random: Random
  run: CommandRunner
  sourceServerId: string
  agentVersion: string
  /** Given by the gateway for this run. */
  generation: number
  identity(): { caPem: string; certificatePem: string; keyPem: string }
  openSource(deviceName: string): Promise<BlockSource>
  chooseTracker(source: BlockSource, volume: TrackedVolume): Promise<Tracker>
  /** What outlives the process; absent where nothing does. */
  kept?: KeptDisks
  isOffered(deviceName: string): boolean
  /** The file systems to freeze for these devices; undefined when this machine cannot freeze. */
  planFreeze(deviceNames: readonly string[]): Promise<FreezePlan | undefined>
  /** The operator's scripts around a freeze. @throws HookRefusedError when they must not be run. */
  findHooks(): Promise<HookSet>
  memory: SyncMemory
  /** How busy the disks are; left out where nobody can say. */
  load?: Pick<DiskLoad, 'sample'>
  /** Something worth a heartbeat at once has happened. */
  onChange(): void
  /** How many connections a session has; default: as many as the link needs. */
  connectionPlan?: () => ConnectionPlan
  /** Read and hash for comparisons; default: the agent's own thread. */
  hashThreads?: HashThreads
  /** What to encrypt blocks with; default: the platform's first. */
  cipherSuite?: CipherSuite
  /** Nothing is compressed; default: what is faster. */
  isCompressionOff?: boolean
  /** How a connection is made; default: over TLS. */
  connectLink?: ConnectLink
}
