/**
 * A small fleet with a server in every situation that the dashboard shows, for tests that look at every page and for pictures.
 * @module
 */
import type { LifecycleState } from '../../../domain/lifecycle.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { ServerTelemetry } from '../../../wire/telemetry.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { applyAction } from '../../../domain/actions.ts'
import { newId } from '../../../domain/ids.ts'
import { withEvent, withReplication } from '../../../domain/source_server.ts'
import { enrolServer, putServer } from '../../unit/gateway/callers.ts'
import { ago, copyingServer, currentServer, machine } from './scene_servers.ts'

/** The live figures of a server. */
export function report(
  gateway: TestGateway,
  server: SourceServer,
  figures: Pick<ServerTelemetry, 'state' | 'lagMs' | 'backlogBytes' | 'bytesPerSecond'>,
  share = 1,
): void {
  const { sourceServerId, disks } = server
  const done = disks.map(({ sizeBytes }, index) => Math.floor(sizeBytes * Math.min(1, share + index * 0.2)))
  const durableBytes = done.reduce((sum, bytes) => sum + bytes, 0)
  gateway.telemetry.figures.set(sourceServerId, {
    sourceServerId,
    at: gateway.now().toISOString(),
    ...figures,
    durableBytes,
    wireBytes: Math.floor(durableBytes * 0.38),
    rescans: 0,
    disks: disks.map(({ diskIndex, sizeBytes }, index) => ({
      diskIndex,
      sizeBytes,
      scannedBytes: done[index] ?? 0,
      backlogBytes: index === 0 ? figures.backlogBytes : 0,
      durableBytes: done[index] ?? 0,
    })),
  })
}

const quiet = { state: 'CONTINUOUS', lagMs: 400, backlogBytes: 0, bytesPerSecond: 1_250_000 } as const

/** `server` after a launch by `action` that succeeded `minutes` ago. */
export function afterLaunch(
  gateway: TestGateway,
  id: string,
  action: 'START_TEST' | 'START_CUTOVER',
  minutes: number,
): Promise<SourceServer> {
  return putServer(gateway, id, (before) => {
    const at = ago(gateway, minutes)
    const jobId = newId('job')
    const asked = applyAction(before, action, { at: ago(gateway, minutes + 4), actor: 'admin', jobId })
    const { activeTask: _done, ...launching } = asked
    const purpose = action === 'START_TEST' ? 'TEST' : 'CUTOVER'
    const machineId = newId('machine')
    const root = 'c1f0a97be2d4358876e9b0a4c3d2f1e05b6a798887766554433221100ffeeddc'
    const consistent: SourceServer = {
      ...launching,
      consistencyRequest: {
        consistencyPointId: newId('consistencyPoint'),
        state: 'TAKEN',
        requestedAt: ago(gateway, minutes + 3.9),
        expiresAt: ago(gateway, minutes + 2),
        reachedAt: ago(gateway, minutes + 3.8),
        method: 'FROZEN',
        frozenMs: 84,
        roots: launching.disks.map(({ diskIndex }) => ({ diskIndex, root })),
      },
      launchedInstance: {
        machineId,
        imageId: newId('image'),
        snapshotIds: [newId('snapshot')],
        jobId,
        purpose,
        launchedAt: at,
        firstBoot: 'SUCCEEDED',
        endpoints: [
          { guestPort: 22, host: '127.0.0.1', port: 40_022 },
          { guestPort: 80, host: '127.0.0.1', port: 40_080 },
        ],
        description: 'QEMU, KVM, 4 cores, 16 GiB',
      },
    }
    const reached = withEvent(consistent, ago(gateway, minutes + 3.8), {
      type: 'CONSISTENCY_POINT',
      actor: 'replicator',
      message: 'Consistency point reached: file systems frozen for 84 ms',
    })
    return withEvent(reached, at, {
      type: 'LAUNCH',
      message: `${purpose === 'TEST' ? 'Test' : 'Cutover'} machine ${machineId} launched`,
      detail: { state: `${purpose}_LAUNCH_SUCCEEDED`, 'job-id': jobId },
    })
  })
}

/** All agents have just been heard. */
export async function keepAlive(gateway: TestGateway): Promise<void> {
  for (const { value } of (await gateway.store.list('server')).items)
    await putServer(gateway, value.sourceServerId, (server) => ({
      ...server,
      agent: { ...server.agent, lastSeenAt: gateway.now().toISOString() },
    }))
}

/** The servers of the fleet by their situation. */
export interface Fleet {
  copying: SourceServer
  ready: SourceServer
  launched: SourceServer
  failed: SourceServer
  stalled: SourceServer
  starting: SourceServer
}

/** Fills the gateway with servers named after what they do. */
export async function seedFleet(gateway: TestGateway): Promise<Fleet> {
  const debian = 'Debian GNU/Linux 12 (bookworm)'
  const ubuntu = 'Ubuntu 22.04.5 LTS'
  const rocky = 'Rocky Linux 9.4 (Blue Onyx)'
  const starting = await enrolServer(gateway, 'app-03', machine('app-03', 7, ubuntu, [40]))
  const stalled = await copyingServer(gateway, machine('mail-01', 4, debian, [40, 500]), 130)
  const failed = await currentServer(gateway, machine('wiki-01', 5, rocky, [60]), 300)
  const ready = await currentServer(gateway, machine('files-01', 3, debian, [40, 2000]), 1500)
  const cutting = await currentServer(gateway, machine('shop-02', 6, ubuntu, [80]), 2900)
  const launched = await currentServer(gateway, machine('shop-01', 1, ubuntu, [80, 250]), 400)
  const copying = await copyingServer(gateway, machine('db-01', 2, rocky, [60, 400, 400]), 47)

  report(
    gateway,
    copying,
    { state: 'INITIAL_SYNC', lagMs: null, backlogBytes: 0, bytesPerSecond: 187_000_000 },
    0.43,
  )
  for (const server of [failed, ready, cutting]) report(gateway, server, quiet)
  report(gateway, launched, {
    state: 'BACKLOG',
    lagMs: 2600,
    backlogBytes: 18_400_000,
    bytesPerSecond: 24_300_000,
  })
  await putServer(gateway, launched.sourceServerId, (server) => ({
    ...server,
    tags: { env: 'production', team: 'shop' },
    launchConfiguration: {
      ...server.launchConfiguration,
      httpChecks: [{ port: 80, path: '/', contains: 'Welcome' }],
    },
  }))
  await markTested(gateway, cutting.sourceServerId)
  await afterLaunch(gateway, cutting.sourceServerId, 'START_CUTOVER', 3)
  return {
    copying,
    ready,
    launched: await afterLaunch(gateway, launched.sourceServerId, 'START_TEST', 6),
    failed: await withFailedLaunch(gateway, failed.sourceServerId),
    stalled: await putServer(gateway, stalled.sourceServerId, (server) =>
      withUnreadableSector(gateway, server),
    ),
    starting,
  }
}

async function markTested(gateway: TestGateway, id: string): Promise<void> {
  const state: LifecycleState = 'READY_FOR_CUTOVER'
  await putServer(gateway, id, (server) => ({ ...server, lifecycle: { ...server.lifecycle, state } }))
}

function withFailedLaunch(gateway: TestGateway, id: string): Promise<SourceServer> {
  return putServer(gateway, id, (server) =>
    withEvent(server, ago(gateway, 2), {
      type: 'LAUNCH',
      level: 'ERROR',
      message:
        'Test launch failed: The machine did not reach its login prompt within 600 s; its last words: Kernel panic - not syncing: VFS: Unable to mount root fs',
      detail: { state: 'TEST_LAUNCH_FAILED', 'job-id': newId('job') },
    }),
  )
}

function withUnreadableSector(gateway: TestGateway, server: SourceServer): SourceServer {
  const at = ago(gateway, 12)
  const stalled = withReplication(server, 'STALL', at, 'agent')
  return {
    ...stalled,
    disks: stalled.disks.map((disk) => ({ ...disk, replicatedBytes: Math.floor(disk.sizeBytes * 0.71) })),
    replication: {
      ...stalled.replication,
      error: {
        error: 'NOT_CONVERGING',
        rawError: 'Cannot read sector 48213760 of /dev/sdb',
        whatToDo:
          'The disk fails: run smartctl -a /dev/sdb and replace it, or write to the sector so that the disk remaps it; everything else is copied, but the server cannot become ready without this block',
      },
    },
  }
}
