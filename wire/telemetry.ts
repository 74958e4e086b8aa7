/**
 * Live figures in Redis: written by replicators (and by the gateway from heartbeats), read by pages and APIs. They may be lost at any time; the next report
 * brings them back. No decision is taken from them.
 * @module
 */
import * as z from 'zod'
import { dataReplicationStates } from '../domain/replication.ts'

/** What the replicator knows of one server, once a second. JSON in the string at {@link telemetryKey}, expiring after {@link telemetryTtlSeconds}. */
export const serverTelemetrySchema = z.object({
  sourceServerId: z.string(),
  at: z.iso.datetime(),
  state: z.enum(dataReplicationStates),
  lagMs: z.number().nullable(),
  backlogBytes: z.number(),
  /** Raw bytes made durable in the last second, smoothed. */
  bytesPerSecond: z.number(),
  durableBytes: z.number(),
  wireBytes: z.number(),
  /** Rescans begun since the agent started, of all disks, as it says. */
  rescans: z.number(),
  disks: z.array(
    z.object({
      diskIndex: z.number(),
      sizeBytes: z.number(),
      scannedBytes: z.number(),
      backlogBytes: z.number(),
      durableBytes: z.number(),
    }),
  ),
})
export type ServerTelemetry = z.infer<typeof serverTelemetrySchema>

/** Where a server's figures are. */
export function telemetryKey(sourceServerId: string): string {
  return `rehost:telemetry:${sourceServerId}`
}

/** Seconds after which figures that nobody renews are gone: they would be lies. */
export const telemetryTtlSeconds = 30
