/**
 * Records of initial replications as a CSV file, under the names that their attributes have in their table.
 * @module
 */
import type { AttributeOfRecord } from '../domain/record_attributes.ts'
import type { ReplicationRecord } from '../domain/replication_record.ts'
import { stringify } from 'csv-stringify/sync'
import { attributesOf, recordColumns } from '../domain/record_attributes.ts'
import { markedCell } from './csv_cells.ts'

/** A file of `records` in their order, with times on the clocks of `timeZone`. Several disks are one cell of JSON. */
export function recordCsv(records: readonly ReplicationRecord[], timeZone: string): string {
  const columns = recordColumns(timeZone)
  const rows = records.map((record) => {
    const attributes = attributesOf(record, timeZone)
    return columns.map((column) => markedCell(cellOf(attributes[column])))
  })
  return stringify([columns, ...rows])
}

function cellOf(value: AttributeOfRecord | undefined): string {
  if (value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
