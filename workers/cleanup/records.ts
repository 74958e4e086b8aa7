/**
 * Step: the records of a deleted server. Jobs and their logs are history and stay.
 * @module
 */
import type { Step, StepContext, StepResult } from '../step.ts'
import { changeServer, readServer } from '../bench.ts'
import { listAll } from '../../store/listing.ts'
import { eventItemId } from '../../store/event_feed.ts'
import { relayServer } from '../relay.ts'
import { recordBeforeRemoval } from '../replication_recorder.ts'

async function run({ bench, server, task }: StepContext): Promise<StepResult> {
  const { sourceServerId } = server
  await recordBeforeRemoval(bench, await readServer(bench, sourceServerId))
  // Its last events are delivered before their list goes.
  await relayServer(bench, await readServer(bench, sourceServerId))
  // What has not been relayed would come back after its list is gone.
  await changeServer(bench, sourceServerId, (current) =>
    current.outbox.length === 0 ? undefined : { ...current, outbox: [] },
  )
  for (const { sequence } of await listAll(bench.store, 'serverEvent', sourceServerId)) {
    await bench.store.remove('serverEvent', { parent: sourceServerId, id: eventItemId(sequence) })
  }
  for (const other of await listAll(bench.store, 'task')) {
    const isOwn = other.sourceServerId === sourceServerId && other.taskId !== task.taskId
    // A job's page shows its task.
    if (isOwn && other.jobId === undefined) await bench.store.remove('task', { id: other.taskId })
  }
  // The server itself goes when the task ends: until then it is what names the task.
  return { done: null }
}

/** `delete-records`. */
export const deleteRecords: Step = { name: 'delete-records', run }
