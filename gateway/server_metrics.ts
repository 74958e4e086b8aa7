/**
 * What `/metrics` says of servers.
 * @module
 */
import type { LifecycleState } from '../domain/lifecycle.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'
import { lifecycleStates } from '../domain/lifecycle.ts'
import { dataReplicationStates } from '../domain/replication.ts'
import { family, label } from './metric_format.ts'

/** What is measured of servers. */
export function serverMetrics(
  servers: readonly SourceServer[],
  telemetry: ReadonlyMap<string, ServerTelemetry>,
  now: Date,
  version: string,
): string[] {
  const active = servers.filter((server) => !server.isArchived)
  const inState = (state: LifecycleState) =>
    active.filter((server) => server.lifecycle.state === state).length
  const perServer = (name: string, valueOf: (server: SourceServer) => number | undefined) =>
    active.flatMap((server) => {
      const value = valueOf(server)
      const { hostname } = server.sourceProperties.identificationHints
      return value === undefined
        ? []
        : [
            `${name}{source_server_id="${label(server.sourceServerId)}",hostname="${label(hostname)}"} ${value}`,
          ]
    })
  const seconds = (milliseconds: number | null | undefined) =>
    milliseconds === null || milliseconds === undefined ? undefined : milliseconds / 1000
  return [
    ...family('rehost_build_info', 'The version that runs.', [
      `rehost_build_info{version="${label(version)}"} 1`,
    ]),
    ...family(
      'rehost_source_servers',
      'Source servers by lifecycle state, archived ones left out.',
      lifecycleStates.map((state) => `rehost_source_servers{state="${state}"} ${inState(state)}`),
    ),
    ...family(
      'rehost_replications',
      'Source servers by data replication state, archived ones left out.',
      dataReplicationStates.map(
        (state) =>
          `rehost_replications{state="${state}"} ${active.filter((server) => server.replication.state === state).length}`,
      ),
    ),
    ...family(
      'rehost_replication_lag_seconds',
      'Time since replica and source were the same.',
      perServer('rehost_replication_lag_seconds', (server) =>
        seconds(telemetry.get(server.sourceServerId)?.lagMs),
      ),
    ),
    ...family(
      'rehost_replication_backlog_bytes',
      'Changed at the source and not durable in the replica.',
      perServer(
        'rehost_replication_backlog_bytes',
        (server) => telemetry.get(server.sourceServerId)?.backlogBytes,
      ),
    ),
    ...family(
      'rehost_replication_throughput_bytes_per_second',
      'Made durable in the replica, smoothed.',
      perServer(
        'rehost_replication_throughput_bytes_per_second',
        (server) => telemetry.get(server.sourceServerId)?.bytesPerSecond,
      ),
    ),
    ...family(
      'rehost_agent_silence_seconds',
      'Time since the agent was last heard.',
      perServer('rehost_agent_silence_seconds', (server) =>
        server.agent.lastSeenAt === undefined
          ? undefined
          : Math.max(0, now.getTime() - Date.parse(server.agent.lastSeenAt)) / 1000,
      ),
    ),
  ]
}
