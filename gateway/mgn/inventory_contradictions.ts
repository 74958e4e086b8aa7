/**
 * Rows of one inventory that are the same server and say different things of it: whichever was taken, the other would be lost without a word.
 * @module
 */
import type { Row } from './inventory_csv.ts'

/** Columns that say something of a server. Which server it is, and for whom the row is meant, is judged elsewhere. */
const saidOfServer = /^mgn:(wave|app|server|launch):/
const namesOfServer: readonly string[] = ['mgn:server:id', 'mgn:server:user-provided-id']

/** Columns in which upper and lower case mean the same. */
const caseless: readonly string[] = ['mgn:server:platform', 'mgn:launch:transfer-server-tags']

interface Told {
  row: Row
  rowNumber: number
}

/** What the rows have said of each server so far. */
export class ToldOfServers {
  /** Only rows that said something new: a file may name one server in each of its rows. */
  readonly #told = new Map<string, Told[]>()

  /** Adds a row of the server with this key: a sentence for each earlier row that it contradicts. An empty cell contradicts nothing. */
  add(serverKey: string, row: Row, rowNumber: number): string[] {
    const earlier = this.#told.get(serverKey) ?? []
    const contradicted = new Map<number, string[]>()
    let isNew = earlier.length === 0
    for (const column of Object.keys(row)) {
      if (!saidOfServer.test(column) || namesOfServer.includes(column)) continue
      const first = earlier.find((told) => told.row[column] !== undefined)
      if (first === undefined) isNew = true
      else if (meaning(first.row, column) !== meaning(row, column))
        contradicted.set(first.rowNumber, [...(contradicted.get(first.rowNumber) ?? []), column])
    }
    if (isNew) this.#told.set(serverKey, [...earlier, { row, rowNumber }])
    const name = row['mgn:server:id'] ?? row['mgn:server:user-provided-id']
    return [...contradicted].map(
      ([number, columns]) =>
        `row ${number} and this row are the same server, ${name}, and say different things in ${columns.join(', ')}`,
    )
  }
}

function meaning(row: Row, column: string): string | undefined {
  return caseless.includes(column) ? row[column]?.toLowerCase() : row[column]
}
