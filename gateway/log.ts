/**
 * The log, as far as handlers know it.
 * @module
 */

/** The log: one JSON line each. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}
