/**
 * Replication servers: processes of this host that outlive the workers.
 * @module
 */
import path from 'node:path'
import { readdir } from 'node:fs/promises'
import { NotFoundError } from '../../domain/errors.ts'
import { isId, type ReplicationServerId } from '../../domain/ids.ts'
import type { CloudReplicationServer, PreflightFinding, ReplicationServerSpec } from '../provider.ts'
import type { QemuContext } from './context.ts'
import {
  isSystemError,
  makeFolder,
  readJson,
  readTail,
  removeFolder,
  unlessMissing,
  writeJson,
  writeWhole,
} from './files.ts'
import { metadataNames } from './layout.ts'
import { withLock } from './lock.ts'
import { replicationServerSchema, type ReplicationServerMetadata } from './metadata.ts'
import { lastWordsOf } from './last_words.ts'
import { probePort } from './ports.ts'
import { processState, startDetached, stopProcess } from './processes.ts'

const tokenName = 'token'
const caName = 'ca.pem'
/** Enough of the log for an operator to see why it ended. */
const logTailBytes = 2000

/** Starts a replication server or finds it running. @throws Error when its port is taken, naming by whom if that is known. */
export async function createReplicationServer(
  context: QemuContext,
  spec: ReplicationServerSpec,
): Promise<CloudReplicationServer> {
  const id = spec.replicationServerId
  const folder = context.layout.replicationServer(id)
  return await withLock(context.layout.replicationServers, async () => {
    const known = await readSpec(context, id)
    if (known === undefined || (await processState(folder)).pid === undefined) {
      const port = await choosePort(context, id, known?.port)
      await makeFolder(path.join(folder, 'state'))
      const metadata = {
        replicationServerId: id,
        gatewayUrl: localUrl(spec.enrolment.gatewayUrl, context.config.listenHost),
        port,
        tags: spec.tags,
      } satisfies ReplicationServerMetadata
      await writeJson(path.join(folder, metadataNames.replicationServer), metadata)
      await writeWhole(path.join(folder, caName), spec.enrolment.caPem)
      await writeWhole(path.join(folder, tokenName), spec.enrolment.token)
      await start(context, metadata)
    }
    return await view(context, id)
  })
}

/**
 * The gateway as this host reaches it. The URL is made for agents, and theirs may lead here by ways that this host does not have: a
 * public address, or a guest's view of its host.
 */
function localUrl(gatewayUrl: string, listenHost: string): string {
  const url = new URL(gatewayUrl)
  const anywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const host = anywhere[listenHost] ?? listenHost
  url.hostname = host.includes(':') ? `[${host}]` : host
  return url.origin
}

/** The replication server, or undefined when there is none. */
export async function findReplicationServer(
  context: QemuContext,
  id: ReplicationServerId,
): Promise<CloudReplicationServer | undefined> {
  return (await readSpec(context, id)) === undefined ? undefined : await view(context, id)
}

/** Starts a replication server that has ended; a no-op when it runs. @throws NotFoundError, Error when its port is taken. */
export async function restartReplicationServer(context: QemuContext, id: ReplicationServerId): Promise<void> {
  await withLock(context.layout.replicationServers, async () => {
    const known = await readSpec(context, id)
    if (known === undefined) throw new NotFoundError('replication server', id)
    if ((await processState(context.layout.replicationServer(id))).pid !== undefined) return
    const port = await choosePort(context, id, known.port)
    const metadata = { ...known, port }
    await writeJson(
      path.join(context.layout.replicationServer(id), metadataNames.replicationServer),
      metadata,
    )
    await start(context, metadata)
  })
}

/** Ends a replication server and removes its folder. Volumes attached to it are free from then on. A no-op when it is gone. */
export async function removeReplicationServer(context: QemuContext, id: ReplicationServerId): Promise<void> {
  const folder = context.layout.replicationServer(id)
  await withLock(context.layout.replicationServers, async () => {
    await stopProcess(folder, 'It was removed')
    await removeFolder(folder, metadataNames.replicationServer)
  })
}

/** Whether the replication port can be had, or is held by one of our own. */
export async function replicationPortFinding(context: QemuContext): Promise<PreflightFinding> {
  const { replicationPort, listenHost } = context.config
  if (replicationPort === 0) return { ok: true, what: 'Each replication server takes a free port' }
  const holder = await serverOnPort(context, replicationPort)
  if (holder !== undefined) return { ok: true, what: `Port ${replicationPort} is served by ${holder}` }
  try {
    await probePort(listenHost, replicationPort)
    return { ok: true, what: `Port ${replicationPort} on ${listenHost} is free` }
  } catch (error) {
    const { what, whatToDo } = portTrouble(error, listenHost, replicationPort)
    return { ok: false, what, whatToDo }
  }
}

async function readSpec(
  context: QemuContext,
  id: ReplicationServerId,
): Promise<ReplicationServerMetadata | undefined> {
  const folder = context.layout.replicationServer(id)
  return await readJson(path.join(folder, metadataNames.replicationServer), replicationServerSchema)
}

/**
 * Buffers of blocks come from the system one by one and go back to it. By itself the C library would soon keep them in a heap of its own, and
 * small things between them would keep that from ever becoming smaller: some 180 MB with a hundred agents.
 */
const replicatorMemory = { MALLOC_MMAP_THRESHOLD_: String(256 * 1024) }

async function start(context: QemuContext, spec: ReplicationServerMetadata): Promise<void> {
  const { config, layout, tools } = context
  const folder = layout.replicationServer(spec.replicationServerId)
  const environment = {
    ...tools.environment,
    ...replicatorMemory,
    REHOST_REPLICATION_PORT: String(spec.port),
    REHOST_LISTEN_HOST: config.listenHost,
    REHOST_GATEWAY_URL: spec.gatewayUrl,
    REHOST_CA_PEM_FILE: path.join(folder, caName),
    REHOST_REPLICATOR_TOKEN_FILE: path.join(folder, tokenName),
    REHOST_REPLICATION_SERVER_ID: spec.replicationServerId,
    REHOST_REPLICATOR_STATE_DIR: path.join(folder, 'state'),
    REDIS_URL: config.redisUrl,
    ...(config.compileCacheDir === undefined ? {} : { NODE_COMPILE_CACHE: config.compileCacheDir }),
  }
  await startDetached({ folder, command: config.replicatorCommand, environment }, tools)
}

async function view(context: QemuContext, id: ReplicationServerId): Promise<CloudReplicationServer> {
  const folder = context.layout.replicationServer(id)
  const spec = await readSpec(context, id)
  if (spec === undefined) throw new NotFoundError('replication server', id)
  const { pid, stopReason } = await processState(folder)
  const place = { replicationServerId: id, address: context.config.publicHost, port: spec.port }
  if (pid !== undefined) return { ...place, state: 'RUNNING' }
  const stateReason = stopReason ?? lastWordsOf(await readTail(path.join(folder, 'log'), logTailBytes))
  return { ...place, state: 'STOPPED', stateReason }
}

/** The port to listen on: the configured one, or with 0 the one it had, or a free one. @throws Error when it is taken. */
async function choosePort(
  context: QemuContext,
  id: ReplicationServerId,
  previous: number | undefined,
): Promise<number> {
  const { replicationPort, listenHost } = context.config
  const port = replicationPort === 0 ? (previous ?? 0) : replicationPort
  const holder = port === 0 ? undefined : await serverOnPort(context, port, id)
  if (holder !== undefined) {
    throw new Error(
      `Cannot start replication server ${id}: replication server ${holder} has port ${port}; ` +
        'remove it first, or set REHOST_REPLICATION_PORT=0 so that each takes a free port',
    )
  }
  try {
    return await probePort(listenHost, port)
  } catch (error) {
    const { what, whatToDo } = portTrouble(error, listenHost, port)
    throw new Error(`Cannot start replication server ${id}: ${what}; ${whatToDo}`, { cause: error })
  }
}

/** The running replication server, other than `except`, that was given `port`. */
async function serverOnPort(
  context: QemuContext,
  port: number,
  except?: ReplicationServerId,
): Promise<ReplicationServerId | undefined> {
  for (const id of (await unlessMissing(readdir(context.layout.replicationServers))) ?? []) {
    if (!isId('replicationServer', id) || id === except) continue
    const spec = await readSpec(context, id)
    if (spec?.port !== port) continue
    if ((await processState(context.layout.replicationServer(id))).pid !== undefined) return id
  }
  return undefined
}

function portTrouble(error: unknown, host: string, port: number): { what: string; whatToDo: string } {
  if (isSystemError(error, 'EADDRINUSE')) {
    return {
      what: `port ${port} on ${host} is taken by another program`,
      whatToDo: `find it with "ss -ltnp sport = :${port}" and end it, or set REHOST_REPLICATION_PORT`,
    }
  }
  if (isSystemError(error, 'EACCES')) {
    return {
      what: `port ${port} needs rights that this user does not have`,
      whatToDo: 'set REHOST_REPLICATION_PORT to 1024 or more',
    }
  }
  if (isSystemError(error, 'EADDRNOTAVAIL')) {
    return { what: `${host} is not an address of this host`, whatToDo: 'correct REHOST_LISTEN_HOST' }
  }
  throw error
}
