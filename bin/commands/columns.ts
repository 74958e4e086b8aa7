/**
 * Tables for the terminal.
 * @module
 */
import { visibleLine } from '../terminal.ts'

/** A line for each row, its cells below those of the row before. */
export function columnLines(said: readonly (readonly string[])[]): string[] {
  const rows = said.map((cells) => cells.map(visibleLine))
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
