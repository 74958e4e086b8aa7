/**
 * Where records of initial replications are kept: apart from the store, in a table of their own, each written once.
 * @module
 */
import type { ReplicationRecord } from '../domain/replication_record.ts'

/** What there is. */
export interface FoundRecords {
  /** In no order. */
  records: ReplicationRecord[]
  /** Of items that somebody else has put there and that are no records. */
  unreadableIds: string[]
}

/** The seam. Every method may be called again with the same arguments. */
export interface RecordStore {
  /** Makes the table when it is missing. `add` does the same, so whoever cannot be sure of it goes on. */
  initialise(): Promise<void>
  /** Writes the record unless its server has one already; says whether it did. */
  add(record: ReplicationRecord): Promise<boolean>
  /** All of them; none while there is no table. */
  list(): Promise<FoundRecords>
  close(): Promise<void>
}
