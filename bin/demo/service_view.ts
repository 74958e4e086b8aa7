/**
 * What the demonstration asks the service, through the API that everybody has.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { JobId, SourceServerId } from '../../domain/ids.ts'
import type { Job } from '../../domain/job.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { ApiClient } from '../api_client.ts'
import type { ReplicationMoment } from './progress.ts'

/** Live figures as the API shows them beside a server. */
export interface Telemetry {
  state: string
  lagMs: number | null
  backlogBytes: number
  bytesPerSecond: number
  wireBytes: number
}

/** A server as the API shows it. */
export interface ServerView extends SourceServer {
  telemetry?: Telemetry
}

/** The service is asked this often. */
const pollIntervalMs = 500

/** Asks until `look` gives an answer. @throws Error naming `what` when `deadline` passes or `signal` aborts. */
export async function pollUntil<T>(
  what: string,
  options: { timeoutMs: number; signal: AbortSignal },
  look: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + options.timeoutMs
  for (;;) {
    options.signal.throwIfAborted()
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error(`Waited ${options.timeoutMs / 1000} s in vain until ${what}`)
    await sleep(pollIntervalMs, undefined, { signal: options.signal })
  }
}

/** The server. */
export function getServer(api: ApiClient, id: SourceServerId): Promise<ServerView> {
  return api.get<ServerView>(`/servers/${id}`)
}

/** One moment of replication for the progress line. */
export function momentOf(server: ServerView): ReplicationMoment {
  return {
    state: server.telemetry?.state ?? server.replication.state,
    replicatedBytes: server.disks.reduce((sum, disk) => sum + disk.replicatedBytes, 0),
    totalBytes: server.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0),
    bytesPerSecond: server.telemetry?.bytesPerSecond ?? 0,
    backlogBytes: server.telemetry?.backlogBytes ?? 0,
    lagMs: server.telemetry?.lagMs ?? null,
  }
}

/** Waits for a job to end and answers with it. `onOpen` hears of it each time that it has not ended. */
export function waitForJob(
  api: ApiClient,
  jobId: JobId,
  options: { timeoutMs: number; signal: AbortSignal },
  onOpen?: (job: Job) => Promise<void>,
): Promise<Job> {
  return pollUntil(`job ${jobId} ends`, options, async () => {
    const job = await api.get<Job>(`/jobs/${jobId}`)
    if (job.status === 'COMPLETED') return job
    await onOpen?.(job)
    return undefined
  })
}
