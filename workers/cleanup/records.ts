/**
 * The end of a deleted server's records. Jobs and their logs are history and stay; so do its events for a while, for whoever reads the stream of all
 * servers and has not come to them yet.
 * @module
 */
import type { SourceServerId } from '../../domain/ids.ts'
import type { Bench } from '../bench.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { readServer } from '../bench.ts'
import { forgetAwaitedName } from '../../store/awaited_names.ts'
import { forgetMachine } from '../../store/known_machines.ts'
import { listAll } from '../../store/listing.ts'
import { forgetNote } from '../../store/noted_servers.ts'
import { releaseOwnId } from '../../store/own_ids.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { relayServer } from '../relay.ts'
import { recordBeforeRemoval } from '../replication_recorder.ts'

async function run({ bench, server, task }: StepContext): Promise<StepResult> {
  const { sourceServerId } = server
  await recordBeforeRemoval(bench, await readServer(bench, sourceServerId))
  if (server.userProvidedId !== undefined)
    await releaseOwnId(bench.store, server.userProvidedId, sourceServerId)
  if (server.fqdnForActionFramework !== undefined)
    await forgetAwaitedName(bench.store, server.fqdnForActionFramework, sourceServerId)
  if (server.applicationId !== undefined)
    await forgetNote(bench.store, 'applicationMember', server.applicationId, sourceServerId)
  await forgetMachine(bench.store, server.sourceProperties, sourceServerId)
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

/** Removes the server, once all that has happened to it was told: an event that comes meanwhile is told too. */
export async function removeServer(bench: Bench, id: SourceServerId): Promise<void> {
  for (;;) {
    const found = await bench.store.get('server', { id })
    if (found === undefined) return
    if (found.value.outbox.length > 0) {
      await relayServer(bench, found.value)
      continue
    }
    try {
      await bench.store.remove('server', { id }, found.revision)
      return
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }
}
