/**
 * The inventory as a CSV file with MGN's columns: one row for each server, with its application and wave.
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { parse } from 'csv-parse'
import { stringify } from 'csv-stringify/sync'
import { InvalidInputError } from '../../domain/errors.ts'
import { markedCell, unmarkedCell } from '../csv_cells.ts'

/** Things with tags, as a prefix of their columns. */
export type TaggedThing = 'wave' | 'app' | 'server'

/** A row: cells by column. Empty ones are absent. */
export type Row = Readonly<Record<string, string>>

/** Columns before those of tags, in the order in which they are written. */
export const plainColumns = [
  'mgn:account-id',
  'mgn:region',
  'mgn:wave:name',
  'mgn:wave:description',
  'mgn:app:name',
  'mgn:app:description',
  'mgn:server:id',
  'mgn:server:user-provided-id',
  'mgn:server:platform',
  'mgn:server:fqdn-for-action-framework',
] as const

const tagColumn = /^mgn:(wave|app|server):tag:(.{1,256})$/

/** Columns that say where in AWS a machine is launched: they are known, and mean nothing to the local cloud. */
const launchColumn = /^mgn:launch:/

/** 50 tags of waves, applications and servers each, and the rest. */
const maxColumns = 500

/** Several for each of ten thousand servers. Rows are read at once and held together, and sixteen megabytes of short ones are millions. */
const maxRows = 50_000

/** Dealt with in one turn of the event loop: some milliseconds, in which no heartbeat is answered. */
const bytesAtOnce = 32 * 1024
const rowsAtOnce = 500

/** The header is row 1. */
export const firstRow = 2

/** What is wrong with a row. */
export interface WrongRow {
  rowNumber: number
  rawError: string
}

/** Rows that do not have the cells that the header says: the file cannot be read as it is. */
export class WrongRowsError extends InvalidInputError {
  readonly rows: readonly WrongRow[]
  constructor(rows: readonly WrongRow[]) {
    super('file', rows[0]?.rawError ?? 'Rows cannot be read')
    this.rows = rows
  }
}

/** The column of a tag. */
export function columnOfTag(thing: TaggedThing, key: string): string {
  return `mgn:${thing}:tag:${key}`
}

/** The tags of a thing in a row. */
export function tagsIn(row: Row, thing: TaggedThing): Record<string, string> {
  const tags = Object.entries(row).flatMap(([column, value]) => {
    const [, of, key = ''] = tagColumn.exec(column) ?? []
    return of === thing ? [[key, value] as const] : []
  })
  return Object.fromEntries(tags)
}

/** A file of `rows`; cells that a spreadsheet would run are marked as text. */
export async function writeCsv(rows: readonly Row[]): Promise<Uint8Array> {
  const ofTags = [
    ...new Set(rows.flatMap((row) => Object.keys(row).filter((column) => tagColumn.test(column)))),
  ]
  const columns = [...plainColumns, ...ofTags.sort((one, other) => (one < other ? -1 : 1))]
  const parts = [stringify([columns])]
  for (let first = 0; first < rows.length; first += rowsAtOnce) {
    await setImmediate()
    const some = rows.slice(first, first + rowsAtOnce)
    parts.push(stringify(some.map((row) => columns.map((column) => markedCell(row[column] ?? '')))))
  }
  return Buffer.from(parts.join(''))
}

/** A row as it stands in the file. */
interface Line {
  cells: string[]
  /** Of the file, from 1, where the row ends: cells may have several, and empty ones are left out. */
  endsAt: number
}

/** `bytes` piece by piece, with a turn of the event loop between two. */
async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let first = 0; first < bytes.length; first += bytesAtOnce) {
    yield bytes.subarray(first, first + bytesAtOnce)
    await setImmediate()
  }
}

/** @throws InvalidInputError for what is no CSV. */
async function readLines(bytes: Uint8Array): Promise<Line[]> {
  if (!isUtf8(bytes))
    throw new InvalidInputError(
      'file',
      'The file is no CSV in UTF-8: it is in another encoding; save it as UTF-8',
    )
  const lines: Line[] = []
  const parser = parse({
    bom: true,
    skip_empty_lines: true,
    // Said by us, in words and of each row.
    relax_column_count: true,
    on_record: (cells: string[], { lines: endsAt }) => {
      // The header is one of them.
      if (lines.length > maxRows) throw tooManyRows()
      lines.push({ cells, endsAt })
      return null
    },
  })
  try {
    await pipeline(piecesOf(bytes), parser.resume())
  } catch (error) {
    if (error instanceof InvalidInputError) throw error
    throw new InvalidInputError('file', 'The file is no CSV in UTF-8', { cause: error })
  }
  return lines
}

function tooManyRows(): InvalidInputError {
  return new InvalidInputError(
    'file',
    `The file has more than ${maxRows} rows, which is the most that are read: import it in parts`,
  )
}

function cellsWrong({ cells, endsAt }: Line, wanted: number): string {
  const line = endsAt - cells.join('').split('\n').length + 1
  const why =
    cells.length < wanted ? 'are they separated by commas?' : 'is a cell with a comma in double quotes?'
  return `Line ${line} has ${cells.length} cell${cells.length === 1 ? '' : 's'}, the header ${wanted}: ${why}`
}

/** @throws WrongRowsError naming every row that has more or fewer cells than there are columns. */
function requireCells(rows: readonly Line[], wanted: number): void {
  const wrong = rows.flatMap((line, index) =>
    line.cells.length === wanted ? [] : [{ rowNumber: index + firstRow, rawError: cellsWrong(line, wanted) }],
  )
  if (wrong.length > 0) throw new WrongRowsError(wrong)
}

/**
 * The rows of a file, without empty cells.
 * @throws InvalidInputError for what is no CSV, or has columns that nobody knows; WrongRowsError for rows of another length.
 */
export async function readCsv(bytes: Uint8Array): Promise<Row[]> {
  const [header, ...rows] = await readLines(bytes)
  if (header === undefined)
    throw new InvalidInputError('file', 'The file is empty: its first row names the columns')
  const columns = header.cells
  const unknown = columns.filter((column) => !isColumn(column))
  if (unknown.length > 0) {
    const isOne = unknown.length === 1
    const hint =
      columns.length === 1 && /[;\t|]/.test(columns[0] ?? '')
        ? 'separate columns by commas'
        : `leave ${isOne ? 'it' : 'them'} out`
    const named = unknown.slice(0, 5).map((column) => `"${column}"`)
    const more = unknown.length > named.length ? ` and ${unknown.length - named.length} more` : ''
    throw new InvalidInputError(
      'file',
      `The column${isOne ? '' : 's'} ${named.join(', ')}${more} ${isOne ? 'is' : 'are'} not known: ${hint}`,
    )
  }
  if (columns.length > maxColumns)
    throw new InvalidInputError(
      'file',
      `The file has ${columns.length} columns; at most ${maxColumns} are read`,
    )
  const seen = new Set<string>()
  const twice = columns.find((column) => seen.size === seen.add(column).size)
  if (twice !== undefined) throw new InvalidInputError('file', `The column ${twice} is there twice`)
  requireCells(rows, columns.length)
  const read: Row[] = []
  for (const [index, { cells }] of rows.entries()) {
    if (index % rowsAtOnce === rowsAtOnce - 1) await setImmediate()
    read.push(rowOf(columns, cells))
  }
  return read
}

function rowOf(columns: readonly string[], cells: readonly string[]): Row {
  return Object.fromEntries(
    columns.flatMap((column, index) => {
      const cell = cells[index] ?? ''
      return cell === '' ? [] : [[column, unmarkedCell(cell)] as const]
    }),
  )
}

function isColumn(column: string): boolean {
  return (
    (plainColumns as readonly string[]).includes(column) ||
    tagColumn.test(column) ||
    launchColumn.test(column)
  )
}
