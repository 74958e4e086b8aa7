/**
 * Records of initial replications in memory: for tests.
 * @module
 */
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import type { FoundRecords, RecordStore } from '../records.ts'

/** Records that are gone with their process. Copied in and out, so nobody shares one with it. */
export class MemoryRecords implements RecordStore {
  readonly #records = new Map<string, string>()

  initialise(): Promise<void> {
    return Promise.resolve()
  }

  add(record: ReplicationRecord): Promise<boolean> {
    if (this.#records.has(record.sourceServerId)) return Promise.resolve(false)
    this.#records.set(record.sourceServerId, JSON.stringify(record))
    return Promise.resolve(true)
  }

  list(): Promise<FoundRecords> {
    const records = [...this.#records.values()].map((text) => JSON.parse(text) as ReplicationRecord)
    return Promise.resolve({ records, unreadableIds: [] })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
