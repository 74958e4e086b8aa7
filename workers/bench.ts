/**
 * What every step works with. Made in `main.ts`; tests put other parts in.
 * @module
 */
import type { CloudProvider } from '../cloud/provider.ts'
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { RandomBytes, SourceServerId } from '../domain/ids.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { ChangePublisher } from '../queues/changes.ts'
import type { WakeUps } from '../queues/enqueue.ts'
import type { WebhookWakeUps } from '../queues/webhook_wake_ups.ts'
import type { RecordStore } from '../store/records.ts'
import type { SecretBox } from '../store/secret_box.ts'
import type { Store } from '../store/store.ts'
import type { Artefacts } from './artefacts.ts'
import type { Convert } from './conversion/seam.ts'
import { NotFoundError } from '../domain/errors.ts'
import { mutate } from '../store/mutate.ts'

/** The log: one JSON line each. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

/** The parts. */
export interface Bench {
  store: Store
  /** Records of initial replications. */
  records: RecordStore
  cloud: CloudProvider
  wakeUps: WakeUps
  webhookWakeUps: WebhookWakeUps
  changes: ChangePublisher
  convert: Convert
  artefacts: Artefacts
  /** Opens what is stored sealed: values that actions take. */
  secrets: Pick<SecretBox, 'unseal'>
  /** Reads a page of a launched machine for a check; `fetch` outside tests. */
  fetch: typeof fetch
  clock: () => Date
  /** Whether the worker that holds a task as `owner` is known to have died. */
  isGone: (owner: string) => Promise<boolean>
  random: RandomBytes
  /** Limits of lag and backlog whose crossing is told. */
  thresholds: Thresholds
  /** Where events are said to come from. */
  origin: EventOrigin
  log: Log
}

/** Now, as it is written down. */
export function now(bench: Pick<Bench, 'clock'>): string {
  return bench.clock().toISOString()
}

/** The server as it is in the store. @throws NotFoundError. */
export async function readServer(bench: Pick<Bench, 'store'>, id: SourceServerId): Promise<SourceServer> {
  const found = await bench.store.get('server', { id })
  if (found === undefined) throw new NotFoundError('source server', id)
  return found.value
}

/** Changes the server by one conditional write and tells that it changed, if it did. `change` must be pure: it may run several times. */
export async function changeServer(
  bench: Pick<Bench, 'store' | 'changes'>,
  id: SourceServerId,
  change: (server: SourceServer) => SourceServer | undefined,
): Promise<SourceServer> {
  let isChanged = false
  const { value } = await mutate(bench.store, 'server', { id }, (server) => {
    const next = change(server)
    isChanged = next !== undefined && next !== server
    return next
  })
  if (isChanged) await bench.changes.publish({ kind: 'server', id, hasEvents: value.outbox.length > 0 })
  return value
}
