/**
 * The recorder of initial replications: a server that has become ready for test for the first time gets its record written, once. The record
 * was made in the write that made the server ready; whatever dies before it lies in its table, the next look writes it.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { Bench } from './bench.ts'
import { errorMessage } from '../domain/errors.ts'
import { unwrittenRecord } from '../domain/initial_replication.ts'
import { changeServer, now } from './bench.ts'

/** What it works with. */
export type RecorderBench = Pick<Bench, 'store' | 'changes' | 'records' | 'clock' | 'log'>

/** Writes the record of `server` if there is one to be written. It is in the table before the server says so: never the other way round. */
export async function recordReplication(bench: RecorderBench, server: SourceServer): Promise<void> {
  const record = unwrittenRecord(server)
  if (record === undefined) return
  const { sourceServerId } = server
  const isNew = await bench.records.add(record)
  const recordedAt = now(bench)
  await changeServer(bench, sourceServerId, (current) =>
    current.initialReplication?.state === 'RECORDED'
      ? undefined
      : { ...current, initialReplication: { state: 'RECORDED', recordedAt } },
  )
  const message = isNew ? 'Initial replication recorded' : 'Initial replication was recorded before'
  bench.log.info({ sourceServerId }, message)
}

/**
 * The last chance, before a server is deleted. A table that cannot be written to must not keep a server from being deleted: its record goes to the
 * log then.
 */
export async function recordBeforeRemoval(bench: RecorderBench, server: SourceServer): Promise<void> {
  try {
    await recordReplication(bench, server)
  } catch (error) {
    bench.log.error(
      { sourceServerId: server.sourceServerId, record: unwrittenRecord(server), err: error },
      `Cannot write the record of the initial replication of a server that is deleted: ${errorMessage(error)}`,
    )
  }
}
