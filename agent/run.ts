/**
 * One run of the agent: enrol if need be, start, replicate, talk to the gateway, and go when told to.
 * @module
 */
import type { Worker } from 'node:worker_threads'
import type { SourceProperties } from '../domain/source_server.ts'
import type { Random } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { AgentConfig } from './config.ts'
import type { ControlClient } from './control_client.ts'
import type { Host } from './inventory.ts'
import type { LineLog } from './log.ts'
import type { CommandRunner } from './run_command.ts'
import type { Identity, StateFiles } from './state_files.ts'
import { errorMessage, PermanentError } from '../domain/errors.ts'
import { backoffMs } from './backoff.ts'
import { planFreeze } from './consistency/freeze_plan.ts'
import { findHooks } from './consistency/hooks.ts'
import { ControlError } from './control_error.ts'
import { openDevice } from './disk/device_source.ts'
import { DiskLoad } from './disk/disk_load.ts'
import { HashThreads } from './disk/hash_threads.ts'
import { enrol, isExpired, lifeOf, renew } from './enrolment.ts'
import { Heartbeat } from './heartbeat.ts'
import { layout } from './install/layout.ts'
import { uninstall } from './install/uninstall.ts'
import { takeDisks, takeInventory } from './inventory.ts'
import { DiskWatch } from './inventory/disk_watch.ts'
import { machineFiles } from './inventory/system_files.ts'
import { readBootId } from './inventory/machine.ts'
import { Renewal } from './renewal.ts'
import { isInstalled } from './run_command.ts'
import { cipherTrial, fasterSuite } from './sync/cipher_choice.ts'
import { Engine } from './sync/engine.ts'
import { PieceRoom } from './sync/piece_room.ts'
import { chooseTracker, prepareTracing } from './tracking/choose.ts'
import { TraceHub } from './tracking/trace_hub.ts'
import { agentVersion } from './version.ts'

const startRetry = { baseMs: 1000, maxMs: 60_000 }

/** The whole ring buffer of the kernel's trace, KiB; it is shared among the processors. */
const traceBufferKb = 64 * 1024
const maxTraceBufferPerCpuKb = 8 * 1024

/** What a run is made with. */
export interface RunContext {
  config: AgentConfig
  files: StateFiles
  host: Host
  clock: Clock
  log: LineLog
  random: Random
  run: CommandRunner
  processors: number
  /** A new thread that hashes. */
  startHashThread(): Worker
  /** This process was started by the service manager. */
  isService: boolean
  newClient(input: {
    gatewayUrl: string
    caPem: string
    identity: () => Identity | undefined
    signal: AbortSignal
  }): ControlClient
  readText(path: string): Promise<string>
}

/** Who this agent is: stored, or by enrolling now. */
async function establishIdentity(context: RunContext, signal: AbortSignal): Promise<Identity> {
  const { config, files, clock, log } = context
  const known = await files.readIdentity()
  const isUsable = known !== undefined && !isExpired(known.certificatePem, clock.nowMs())
  if (isUsable && known !== undefined) return known
  if (config.token === undefined || config.gatewayUrl === undefined || config.caFile === undefined) {
    throw new PermanentError(
      known === undefined
        ? `This agent is not enrolled (no identity in ${files.directory}); run it with --gateway-url, --ca-file and --token, or with the command from the add-server page`
        : `The certificate of this agent has expired: it was off for too long. Install it again with a new command from the add-server page`,
    )
  }
  const caPem = await context.readText(config.caFile)
  const { gatewayUrl, token, userProvidedId, tags } = config
  const client = context.newClient({ gatewayUrl, caPem, identity: () => undefined, signal })
  const identity = await enrol({
    client,
    files,
    gatewayUrl,
    caPem,
    token,
    sourceProperties: await takeInventory(context.host, devicesOf(config)),
    ...(userProvidedId === undefined ? {} : { userProvidedId }),
    ...(tags === undefined ? {} : { tags }),
  })
  log.info(`Enrolled as source server ${identity.sourceServerId}`)
  return identity
}

function devicesOf(config: AgentConfig): { devices?: readonly string[] } {
  return config.devices === undefined ? {} : { devices: config.devices }
}

/** Tells the gateway that a run begins, until it hears it. */
async function startRun(
  context: RunContext,
  client: ControlClient,
  signal: AbortSignal,
): Promise<{ generation: number; sourceProperties: SourceProperties }> {
  const { clock, log, host, config } = context
  const bootId = await readBootId(host.files)
  for (let failures = 1; ; failures++) {
    try {
      // A device that was named and is gone must be told to the gateway, not stop the agent.
      const sourceProperties = await takeInventory(host, { ...devicesOf(config), skipMissing: true })
      const { generation } = await client.start({ version: agentVersion, bootId, sourceProperties })
      return { generation, sourceProperties }
    } catch (error) {
      signal.throwIfAborted()
      const isRefusal = error instanceof ControlError && error.isRefusal
      const waitMs = isRefusal ? startRetry.maxMs : backoffMs(failures, startRetry, context.random)
      log.warning(`Cannot start, next attempt in ${Math.ceil(waitMs / 1000)} s: ${errorMessage(error)}`)
      await clock.sleep(waitMs, signal)
    }
  }
}

/** How a run ended, as the process's exit code: 0 when it was told to go, 1 when another run took over. */
export async function runAgent(context: RunContext, signal: AbortSignal): Promise<number> {
  const { config, files, clock, log, run } = context
  await files.prepare()
  let identity = await establishIdentity(context, signal)
  const gatewayUrl = config.gatewayUrl ?? identity.gatewayUrl
  const client = context.newClient({ gatewayUrl, caPem: identity.caPem, identity: () => identity, signal })
  log.info(`Rehost agent ${agentVersion}, source server ${identity.sourceServerId}, gateway ${gatewayUrl}`)
  const { generation, sourceProperties } = await startRun(context, client, signal)
  // A device that was named and is gone is a change like any other.
  const watchOptions = { ...devicesOf(config), skipMissing: true }
  const disks = new DiskWatch(sourceProperties.disks, {
    look: () => takeDisks(context.host.files, watchOptions),
    log,
    onChange: () => heartbeat.poke(),
  })
  const engine = await makeEngine(context, {
    generation,
    disks,
    identity: () => identity,
    onChange: () => heartbeat.poke(),
  })
  // Read once for each certificate, not at each heartbeat.
  let life = lifeOf(identity.certificatePem)
  const renewal = new Renewal({
    clock,
    random: context.random,
    times: () => life,
    renew: async () => {
      identity = await renew(client, files, identity)
      life = lifeOf(identity.certificatePem)
      log.info('The certificate was renewed')
    },
    note: (level, message) => engine.note(level, message),
  })
  const heartbeat = new Heartbeat({
    client,
    engine,
    disks,
    generation,
    clock,
    random: context.random,
    log,
    renewIfDue: (isAsked) => renewal.renewIfDue(isAsked),
  })
  const ended = new AbortController()
  disks.start(ended.signal)
  const replicating = engine.run()
  const end = await Promise.race([heartbeat.run(signal), replicating.then(() => 'STOPPED' as const)])
  ended.abort()
  engine.stop()
  await replicating.catch((error: unknown) => {
    // What goes wrong on the way out must not keep the agent on a machine that it is to leave.
    if (end !== 'UNINSTALL') throw error
    log.warning(`Replication ended badly: ${errorMessage(error)}`)
  })
  if (end === 'UNINSTALL') await leave(context, client, run)
  return end === 'FENCED' ? 1 : 0
}

async function makeEngine(
  context: RunContext,
  input: {
    generation: number
    disks: DiskWatch
    identity: () => Identity
    onChange: () => void
  },
): Promise<Engine> {
  const { clock, log, run, files, config, host } = context
  const bufferKb = Math.min(maxTraceBufferPerCpuKb, Math.ceil(traceBufferKb / context.processors))
  const hub = new TraceHub(clock, { bufferKb })
  const tracingRefusal = await prepareTracing(run, config.isRoot)
  const canFreeze =
    config.isRoot && (await isInstalled(run, 'fsfreeze')) && (await isInstalled(run, 'timeout'))
  const room = new PieceRoom()
  return new Engine({
    clock,
    log,
    random: context.random,
    run,
    sourceServerId: input.identity().sourceServerId,
    agentVersion,
    generation: input.generation,
    identity: input.identity,
    openSource: (deviceName) => openDevice(deviceName, clock),
    chooseTracker: async (source) => {
      const facts = (await host.files.facts(source.deviceName)) ?? { kind: 'other', sizeBytes: 0 }
      return chooseTracker({ source, facts, tracingRefusal, hub, room, clock })
    },
    isOffered: (deviceName) => input.disks.isOffered(deviceName),
    planFreeze: async (deviceNames) =>
      canFreeze ? planFreeze(machineFiles, await kernelNames(deviceNames)) : undefined,
    findHooks: () => findHooks(layout.hooksFolder),
    load: new DiskLoad({
      readStatistics: () => context.readText('/proc/diskstats'),
      deviceNumberOf: async (deviceName) => (await machineFiles.facts(deviceName))?.deviceNumber,
    }),
    memory: await files.openMemory((message) => log.warning(message)),
    onChange: input.onChange,
    hashThreads: new HashThreads({ count: config.hashThreads, start: context.startHashThread, clock, log }),
    cipherSuite: fasterSuite(cipherTrial(() => clock.monotonicMs())),
  })
}

/** `sda` for `/dev/sda`, `dm-0` for `/dev/mapper/mpatha`; nothing for a file. */
async function kernelNames(deviceNames: readonly string[]): Promise<Set<string>> {
  const names = new Set<string>()
  for (const deviceName of deviceNames) {
    const facts = await machineFiles.facts(deviceName)
    const folder =
      facts?.deviceNumber === undefined
        ? undefined
        : await machineFiles.realPath(`/sys/dev/block/${facts.deviceNumber}`)
    if (folder !== undefined) names.add(folder.slice(folder.lastIndexOf('/') + 1))
  }
  return names
}

/** The gateway wants the agent gone: say so, then go. */
async function leave(context: RunContext, client: ControlClient, run: CommandRunner): Promise<void> {
  const { log, files, isService } = context
  log.info('The gateway tells this agent to uninstall itself')
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      await client.uninstalled()
      break
    } catch (error) {
      log.warning(
        `Cannot tell the gateway that the agent is going (attempt ${attempt} of 3): ${errorMessage(error)}`,
      )
      await context.clock.sleep(1000)
    }
  }
  await uninstall({ run, stateDirectory: files.directory, isService, isRoot: context.config.isRoot })
}
