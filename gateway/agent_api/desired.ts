/**
 * What agents and replication servers are told: read off the records, never remembered. Pure.
 * @module
 */
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { Allowance } from '../../domain/bandwidth.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { AgentDesired, ReplicatorDesired } from '../../wire/control_api.ts'
import { consistencyPolicyOf } from '../../domain/consistency_policy.ts'
import type { ScrubPolicy } from '../services.ts'
import { mayReplicate } from '../../domain/agent_contact.ts'
import { inventoryProblem } from '../../domain/inventory.ts'
import { withAttachments } from '../../domain/replaced_disk.ts'
import { openVerification } from '../../domain/verification.ts'

/** How often an agent reports: often while somebody waits for it, seldom otherwise. */
export const heartbeatIntervals = { busyMs: 500, quietMs: 2000, replicatorMs: 1000, holdingMs: 500 } as const

/** What the agent of `server` should make true. */
export function agentDesired(
  server: SourceServer,
  replicationServer: ReplicationServer | undefined,
  options: { isRenewalDue: boolean; allowance: Allowance },
): AgentDesired {
  const { address, port } = replicationServer ?? {}
  const isReachable = address !== undefined && port !== undefined && replicationServer?.state !== 'REMOVED'
  const policy = consistencyPolicyOf(server)
  const { isOff, bitsPerSecond } = options.allowance
  const request = server.consistencyRequest
  const isWanted = request?.state === 'REQUESTED'
  const open = openVerification(server)
  const obstacle = server.agent.desired === 'REPLICATE' ? inventoryProblem(server) : undefined
  const isBusy = server.activeTask !== undefined || isWanted || open !== undefined
  return {
    mode: modeOf(server, isReachable),
    ...(isReachable && replicationServer !== undefined
      ? { replicator: { replicationServerId: replicationServer.replicationServerId, address, port } }
      : {}),
    disks: mayReplicate(server)
      ? withAttachments(server).flatMap(({ disk, attachmentId }) => {
          const { diskIndex, deviceName, stableId, volumeId, sizeBytes, isJoining } = disk
          if (volumeId === undefined || isJoining === true) return []
          const attachment = attachmentId === undefined ? {} : { attachmentId }
          return [{ diskIndex, deviceName, stableId, ...attachment, volumeId, sizeBytes }]
        })
      : [],
    ...(obstacle === undefined
      ? {}
      : { obstacle: { reason: obstacle.rawError, whatToDo: obstacle.whatToDo } }),
    throttleBitsPerSecond: Number.isFinite(bitsPerSecond) ? bitsPerSecond : 0,
    isSendingOff: isOff,
    yieldsToSource: server.replicationConfiguration.yieldsToSource ?? true,
    rescanEpoch: server.replication.rescanEpoch,
    ...(open === undefined ? {} : { verifyEpoch: open.verifyEpoch }),
    ...(isWanted
      ? {
          consistencyPoint: {
            consistencyPointId: request.consistencyPointId,
            expiresAt: request.expiresAt,
            maxFreezeMs: policy.maxFreezeMs,
          },
        }
      : {}),
    consistencyPolicy: policy,
    renewCertificate: options.isRenewalDue,
    heartbeatIntervalMs: isBusy ? heartbeatIntervals.busyMs : heartbeatIntervals.quietMs,
  }
}

function modeOf(server: SourceServer, isReachable: boolean): AgentDesired['mode'] {
  const { desired } = server.agent
  if (desired !== 'REPLICATE') return desired
  return isReachable && mayReplicate(server) ? 'REPLICATE' : 'IDLE'
}

/**
 * What the replication server should serve: the servers that are placed there, with the volumes that are attached to it, and nobody
 * else. One that has lost a volume is named with those that it still has: what is known of them must not be forgotten, as the agent
 * does not send them again.
 */
export function replicatorDesired(
  replicationServer: ReplicationServer,
  servers: readonly SourceServer[],
  options: { isRenewalDue: boolean; scrub: ScrubPolicy },
): ReplicatorDesired {
  const own = servers.filter(
    (server) => server.replication.replicationServerId === replicationServer.replicationServerId,
  )
  const isHolding = own.some((server) => server.consistencyRequest?.state === 'REACHED')
  const isExpecting = own.some((server) => server.consistencyRequest?.state === 'REQUESTED')
  return {
    assignments: own.map((server) => ({
      sourceServerId: server.sourceServerId,
      certificateSerials: [
        server.agent.certificateSerial,
        ...(server.agent.previousCertificateSerial === undefined
          ? []
          : [server.agent.previousCertificateSerial]),
      ],
      volumes: server.disks.flatMap(({ diskIndex, volumeId, devicePath, sizeBytes }) =>
        volumeId === undefined || devicePath === undefined
          ? []
          : [{ diskIndex, volumeId, devicePath, sizeBytes }],
      ),
      ...(server.consistencyRequest === undefined
        ? {}
        : {
            consistencyPoint: {
              consistencyPointId: server.consistencyRequest.consistencyPointId,
              state: server.consistencyRequest.state,
            },
          }),
    })),
    scrub: options.scrub,
    renewCertificate: options.isRenewalDue,
    heartbeatIntervalMs:
      isHolding || isExpecting ? heartbeatIntervals.holdingMs : heartbeatIntervals.replicatorMs,
  }
}
