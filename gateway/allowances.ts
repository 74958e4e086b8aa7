/**
 * The seam to what servers may send.
 * @module
 */
import type { Allowance } from '../domain/bandwidth.ts'
import type { SourceServer } from '../domain/source_server.ts'

/** Says what each server may send now. */
export interface Allowances {
  /** What `server` may send until its next heartbeat. */
  allowanceOf(server: SourceServer): Promise<Allowance>
}
