/**
 * Cells of CSV files that spreadsheets open: what would be run as a formula is marked as text.
 * @module
 */

/** A program that opens the file takes a cell that begins so for a formula. */
const formula = /^[=+\-@\t\r\n＝＋－＠]/
/** One that is marked as text, once or, because it looked so before, more often. */
const marked = /^'+[=+\-@\t\r\n＝＋－＠]/

/** `cell` as it is written. */
export function markedCell(cell: string): string {
  return formula.test(cell) || marked.test(cell) ? `'${cell}` : cell
}

/** The cell that was written as `cell`. */
export function unmarkedCell(cell: string): string {
  return marked.test(cell) ? cell.slice(1) : cell
}
