/**
 * Steps that give a server a replication server: one that is there and has room, or a new one.
 * @module
 */
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { ReplicationServerId } from '../../domain/ids.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Bench } from '../bench.ts'
import type { Step, StepContext, StepResult, UndoContext } from '../step.ts'
import { PermanentError } from '../../domain/errors.ts'
import { withInitiationStep } from '../../domain/initiation_step.ts'
import { newInstallationToken } from '../../domain/installation_token.ts'
import { advanceDataReplication } from '../../domain/replication.ts'
import { withReplication } from '../../domain/source_server.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { changeServer, now } from '../bench.ts'
import { removeIfUnused, removeTokens } from '../cleanup/replication_servers.ts'
import { listAll } from '../../store/listing.ts'
import { replicationServerIdOf } from '../token.ts'

/** A replication server that has not enrolled within this time will not. */
const bootTimeoutMs = 180_000
/** How long its one-time token is good for. */
const tokenLifetimeMs = 3_600_000
const lookAgainMs = 500

/** Reads a setting that the gateway writes at its start. @throws Error while it is not there. */
async function readSetting(bench: Bench, name: string): Promise<string> {
  const found = await bench.store.get('setting', { id: name })
  if (found === undefined) throw new Error(`Cannot find the setting ${name}: the gateway has not started yet`)
  return found.value.value
}

/** Volumes of other servers that a replication server holds. */
export function volumesAt(
  servers: readonly SourceServer[],
  id: ReplicationServerId,
  except: SourceServer,
): number {
  return servers
    .filter(
      (server) =>
        server.replication.replicationServerId === id && server.sourceServerId !== except.sourceServerId,
    )
    .reduce((sum, server) => sum + server.disks.length, 0)
}

async function isThere(bench: Bench, id: ReplicationServerId): Promise<boolean> {
  const seen = await bench.cloud.describeReplicationServer(id)
  return seen !== undefined && seen.state !== 'GONE'
}

/** One that is there (a stopped one is being started again), is not being removed and has room; undefined when there is none, or the server is to have its own. */
async function findRoom(context: StepContext): Promise<ReplicationServer | undefined> {
  const { bench, server } = context
  if (server.replicationConfiguration.useDedicatedReplicationServer) return undefined
  const servers = await listAll(bench.store, 'server')
  const records = await listAll(bench.store, 'replicationServer')
  // One that is in trouble only where there is no other.
  const wellFirst = records.toSorted(
    (left, right) => Number(right.state === 'READY') - Number(left.state === 'READY'),
  )
  for (const candidate of wellFirst) {
    if (candidate.state === 'REMOVED') continue
    const id = candidate.replicationServerId
    const isDedicated = servers.some(
      (other) =>
        other.replication.replicationServerId === id &&
        other.replicationConfiguration.useDedicatedReplicationServer,
    )
    const most = bench.cloud.capabilities.maxVolumesPerReplicationServer
    if (isDedicated || volumesAt(servers, id, server) + server.disks.length > most) continue
    if (await isThere(bench, id)) return candidate
  }
  return undefined
}

/** Makes the record of a new one unless it is there. */
async function ensureRecord(bench: Bench, id: ReplicationServerId): Promise<void> {
  try {
    await bench.store.create(
      'replicationServer',
      { id },
      { replicationServerId: id, createdAt: now(bench), state: 'LAUNCHING' },
    )
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}

/** Starts it, or finds it running; one that has vanished is made anew. Each try brings a token of its own, since only its hash is kept. */
export async function raiseReplicationServer(bench: Bench, id: ReplicationServerId): Promise<void> {
  const { token, record } = await newInstallationToken(
    {
      purpose: 'REPLICATOR',
      createdBy: 'rehost',
      at: now(bench),
      uses: 1,
      lifetimeMs: tokenLifetimeMs,
      replicationServerId: id,
    },
    bench.random,
  )
  await bench.store.create('token', { id: record.tokenId }, record)
  const enrolment = {
    gatewayUrl: await readSetting(bench, 'agent-url'),
    caPem: await readSetting(bench, 'ca-certificate'),
    token,
  }
  const { address, port } = await bench.cloud.createReplicationServer({
    replicationServerId: id,
    enrolment,
    tags: {},
  })
  await mutate(bench.store, 'replicationServer', { id }, (found) => ({ ...found, address, port }))
}

/** The one that this server has from an earlier try, if it still stands. */
async function formerChoice({ bench, server }: StepContext): Promise<ReplicationServerId | undefined> {
  const id = server.replication.replicationServerId
  if (id === undefined) return undefined
  const record = await bench.store.get('replicationServer', { id })
  if (record === undefined || record.value.state === 'REMOVED') return undefined
  return (await isThere(bench, id)) ? id : undefined
}

/** Writes the choice into the source server, so that nobody removes it as unused, and looks whether somebody just has. */
async function claim({ bench, server }: StepContext, id: ReplicationServerId): Promise<boolean> {
  await changeServer(bench, server.sourceServerId, (current) =>
    current.replication.replicationServerId === id
      ? undefined
      : { ...current, replication: { ...current.replication, replicationServerId: id } },
  )
  const record = await bench.store.get('replicationServer', { id })
  return record !== undefined && record.value.state !== 'REMOVED'
}

async function launch(context: StepContext): Promise<StepResult> {
  const { bench, server, task } = context
  const at = now(bench)
  await changeServer(bench, server.sourceServerId, (current) => {
    const initiated = advanceDataReplication(current.replication.state, 'INITIATE').ok
      ? withReplication(current, 'INITIATE', at)
      : current
    const skipped = withInitiationStep(initiated, 'CREATE_SECURITY_GROUP', 'SKIP', at)
    return withInitiationStep(skipped, 'LAUNCH_REPLICATION_SERVER', 'BEGIN', at)
  })
  const found = (await formerChoice(context)) ?? (await findRoom(context))?.replicationServerId
  const own = replicationServerIdOf(task.taskId)
  if (found !== undefined && found !== own && (await claim(context, found)))
    return { done: { replicationServerId: found } }
  await ensureRecord(bench, own)
  // An earlier try may have left it unused for so long that it is being removed; the next try makes another record.
  if (!(await claim(context, own))) throw new Error(`Replication server ${own} is being removed`)
  await raiseReplicationServer(bench, own)
  return { done: { replicationServerId: own } }
}

/**
 * Gives the choice back, and removes a replication server that stood for this server alone. Volumes with a copy that is kept are attached
 * nowhere then, as the next attempt may choose another replication server.
 */
async function undoLaunch({ bench, server }: UndoContext): Promise<void> {
  const id = server.replication.replicationServerId
  if (id !== undefined) await removeIfUnused(bench, id, server.sourceServerId)
  const { disks } = await changeServer(bench, server.sourceServerId, withoutReplicationServer)
  for (const { volumeId } of disks) if (volumeId !== undefined) await bench.cloud.detachVolume(volumeId)
}

function withoutReplicationServer(server: SourceServer): SourceServer {
  const { replicationServerId: _back, ...replication } = server.replication
  return { ...server, replication, disks: server.disks.map(({ devicePath: _path, ...disk }) => disk) }
}

/** `launch-replication-server`. */
export const launchReplicationServer: Step = {
  name: 'launch-replication-server',
  run: launch,
  undo: undoLaunch,
}

/** The replication server chosen by the step before. */
export function chosenReplicationServer(context: StepContext): ReplicationServerId {
  const output = context.output('launch-replication-server') as { replicationServerId: ReplicationServerId }
  return output.replicationServerId
}

async function waitUntilReady(context: StepContext): Promise<StepResult> {
  const { bench, server, step } = context
  const id = chosenReplicationServer(context)
  const record = await bench.store.get('replicationServer', { id })
  if (record?.value.state === 'READY') {
    await removeTokens(bench, id)
    await changeServer(bench, server.sourceServerId, (current) => {
      const at = now(bench)
      const enrolled = withInitiationStep(current, 'AUTHENTICATE_WITH_SERVICE', 'SUCCEED', at)
      return withInitiationStep(enrolled, 'DOWNLOAD_REPLICATION_SOFTWARE', 'SKIP', at)
    })
    return { done: null }
  }
  const seen = await bench.cloud.describeReplicationServer(id)
  if (seen === undefined || seen.state === 'GONE')
    return { redoFrom: 'launch-replication-server', because: `${id} is gone` }
  if (bench.clock().getTime() - Date.parse(step.startedAt ?? now(bench)) > bootTimeoutMs) {
    const why =
      seen.stateReason === undefined ? `it is ${seen.state}` : `it is ${seen.state}: ${seen.stateReason}`
    throw new PermanentError(
      `Replication server ${id} did not enrol within ${bootTimeoutMs / 1000} s; ${why}`,
    )
  }
  if (seen.state === 'STOPPED') await bench.cloud.restartReplicationServer(id)
  const begun = seen.state === 'RUNNING' ? 'AUTHENTICATE_WITH_SERVICE' : 'BOOT_REPLICATION_SERVER'
  await changeServer(bench, server.sourceServerId, (current) =>
    withInitiationStep(current, begun, 'BEGIN', now(bench)),
  )
  return { waitMs: lookAgainMs }
}

/** `wait-for-replication-server`. */
export const waitForReplicationServer: Step = { name: 'wait-for-replication-server', run: waitUntilReady }
