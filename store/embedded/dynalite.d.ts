/**
 * The part of dynalite's interface that is used here; the package has no types of its own.
 * @module
 */
declare module 'dynalite' {
  import type { Server } from 'node:http'

  /** An HTTP server that speaks DynamoDB's protocol and keeps its tables under `path`. */
  export default function dynalite(options: {
    path: string
    createTableMs: number
    deleteTableMs: number
    updateTableMs: number
  }): Server
}
