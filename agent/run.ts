/**
 * One run of the agent: enrol if need be, start, replicate, talk to the gateway, and go when told to.
 * @module
 */
import type { SourceProperties } from '../domain/source_server.ts'
import type { AgentConfig } from './config.ts'
import type { ControlClient } from './control_client.ts'
import type { CommandRunner } from './run_command.ts'
import type { RunContext } from './run_context.ts'
import type { Identity } from './state_files.ts'
import { errorMessage, PermanentError } from '../domain/errors.ts'
import { lockAgent } from './agent_lock.ts'
import { backoffMs } from './backoff.ts'
import { ControlError } from './control_error.ts'
import { enrol, isExpired, lifeOf, renew } from './enrolment.ts'
import { Heartbeat } from './heartbeat.ts'
import { uninstall } from './install/uninstall.ts'
import { takeDisks, takeInventory } from './inventory.ts'
import { glanceAtDisks } from './inventory/disk_glance.ts'
import { DiskWatch } from './inventory/disk_watch.ts'
import { readUsedBytes } from './inventory/used_bytes.ts'
import { readBootId } from './inventory/machine.ts'
import { makeEngine } from './make_engine.ts'
import { Renewal } from './renewal.ts'
import { agentVersion } from './version.ts'

const startRetry = { baseMs: 1000, maxMs: 60_000 }

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
  const caPem = await context.readCertificate(config.caFile)
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
  const { files } = context
  await files.prepare()
  const lock = await lockAgent(files.directory)
  try {
    return await runLocked(context, signal)
  } finally {
    await lock.release()
  }
}

async function runLocked(context: RunContext, signal: AbortSignal): Promise<number> {
  const { config, files, clock, log, run } = context
  let identity = await establishIdentity(context, signal)
  const gatewayUrl = config.gatewayUrl ?? identity.gatewayUrl
  const client = context.newClient({ gatewayUrl, caPem: identity.caPem, identity: () => identity, signal })
  log.info(`Rehost agent ${agentVersion}, source server ${identity.sourceServerId}, gateway ${gatewayUrl}`)
  const { generation, sourceProperties } = await startRun(context, client, signal)
  // A device that was named and is gone is a change like any other.
  const watchOptions = { ...devicesOf(config), skipMissing: true }
  const disks = new DiskWatch(sourceProperties.disks, {
    glance: () => glanceAtDisks(context.host.files, config.devices),
    clock,
    look: () => takeDisks(context.host.files, watchOptions),
    usage: (found) => readUsedBytes(context.host.files, context.run, found),
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
