/**
 * Servers as their agents and the workers leave them: enrolled, copied for a while, current.
 * @module
 */
import type { SourceProperties, SourceServer } from '../../../domain/source_server.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { newId } from '../../../domain/ids.ts'
import { initiationStepNames } from '../../../domain/initiation.ts'
import { withEvent, withLifecycle, withReplication } from '../../../domain/source_server.ts'
import { enrolServer, inventory, putServer } from '../../unit/gateway/callers.ts'

const gigabyte = 1_000_000_000

/** ISO time of `minutes` ago. */
export function ago(gateway: TestGateway, minutes: number): string {
  return new Date(gateway.now().getTime() - minutes * 60_000).toISOString()
}

/** What the agent of a server of some size sees. */
export function machine(
  hostname: string,
  number: number,
  os: string,
  diskGigabytes: number[],
): SourceProperties {
  return inventory(hostname, {
    identificationHints: { hostname, fqdn: `${hostname}.corp.example`, machineId: `machine-${hostname}` },
    os: { fullString: os, family: 'linux' },
    cpus: [{ cores: 4, modelName: 'Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz' }],
    ramBytes: 16 * 2 ** 30,
    firmware: 'UEFI',
    networkInterfaces: [
      {
        name: 'eth0',
        macAddress: `52:54:00:1a:00:${String(number).padStart(2, '0')}`,
        ips: [`10.20.0.${10 + number}`],
        isPrimary: true,
      },
    ],
    disks: [
      ...diskGigabytes.map((size, index) => ({
        deviceName: `/dev/sd${'abcdef'[index]}`,
        sizeBytes: size * gigabyte,
        stableId: `serial-${hostname}-${index}`,
        isBootDisk: index === 0,
      })),
      {
        deviceName: '/dev/sr0',
        sizeBytes: 700_000_000,
        stableId: `cd-${hostname}`,
        isBootDisk: false,
        excludedBecause: 'It is removable',
      },
    ],
  })
}

/** A server that has been enrolled, started and given its staging area, and copies since `minutes` ago. */
export async function copyingServer(
  gateway: TestGateway,
  properties: SourceProperties,
  minutes: number,
): Promise<SourceServer> {
  const { hostname } = properties.identificationHints
  const { sourceServerId } = await enrolServer(gateway, hostname, properties)
  return putServer(gateway, sourceServerId, ({ activeTask: _done, ...enrolled }) => {
    const begun = ago(gateway, minutes)
    let server: SourceServer = {
      ...enrolled,
      createdAt: begun,
      outbox: [],
      eventSequence: 0,
      agent: { ...enrolled.agent, generation: 1, lastSeenAt: ago(gateway, 0) },
      lifecycle: { ...enrolled.lifecycle, firstByteAt: ago(gateway, minutes - 1) },
      replication: {
        ...enrolled.replication,
        state: 'INITIATING',
        replicationServerId: 'i-0c5d0e8fa2b174d39' as never,
        initiation: {
          startedAt: begun,
          steps: initiationStepNames.map((name) => ({ name, status: 'SUCCEEDED' })),
        },
      },
      disks: enrolled.disks.map((disk) => ({
        ...disk,
        volumeId: newId('volume'),
        devicePath: '/staging/volume',
        tracker: { kind: 'tracefs', reason: 'The kernel reports every completed write' },
      })),
    }
    server = withEvent(server, begun, {
      type: 'AGENT',
      actor: 'agent',
      message: `Agent 0.1.0 enrolled on ${hostname}`,
    })
    server = withEvent(server, begun, {
      type: 'AGENT',
      actor: 'agent',
      message: 'Disk /dev/sr0 is left out: It is removable',
    })
    server = withEvent(server, ago(gateway, minutes - 0.5), {
      type: 'REPLICATOR',
      message: 'Replication server i-0c5d0e8fa2b174d39 is ready',
    })
    server = withEvent(server, ago(gateway, minutes - 0.8), {
      type: 'INITIATION_STEP',
      actor: 'agent',
      message: 'The first byte has arrived',
    })
    return withReplication(server, 'BEGIN_INITIAL_SYNC', ago(gateway, minutes - 0.8), 'agent')
  })
}

/** The same with its first copy done and the replica current. */
export async function currentServer(
  gateway: TestGateway,
  properties: SourceProperties,
  minutes: number,
): Promise<SourceServer> {
  const { sourceServerId } = await copyingServer(gateway, properties, minutes)
  return putServer(gateway, sourceServerId, (copying) => {
    const at = ago(gateway, minutes / 2)
    const current = withLifecycle(
      withReplication(copying, 'CATCH_UP', at, 'agent'),
      'FINISH_INITIAL_SYNC',
      at,
      'agent',
    )
    return {
      ...current,
      lifecycle: { ...current.lifecycle, readyForTestAt: at },
      replication: { ...current.replication, lastConsistentAt: ago(gateway, 0) },
      disks: current.disks.map((disk) => ({ ...disk, replicatedBytes: disk.sizeBytes })),
    }
  })
}
