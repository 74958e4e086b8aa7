/**
 * Imports and exports of the inventory: what was asked for, and what came of it.
 * @module
 */
import type { ExportId, ImportId } from './ids.ts'

/** How many of each kind were dealt with. */
export interface TransferCounts {
  servers: number
  applications: number
  waves: number
}

/** A row of a file that could not be taken, or a file that could not be read or written. */
export interface TransferError {
  at: string
  type: 'VALIDATION_ERROR' | 'PROCESSING_ERROR'
  rawError: string
  /** From 1; the header is row 1. Absent where it is about the whole file. */
  rowNumber?: number
}

interface TransferBase {
  bucket: string
  key: string
  bucketOwner?: string
  status: 'PENDING' | 'STARTED' | 'FAILED' | 'SUCCEEDED'
  createdAt: string
  endedAt?: string
  /** When it was last said that it goes on; absent before the first time. */
  aliveAt?: string
  /** How much of it was done then, in whole percent. */
  progressPercentage?: number
  tags: Record<string, string>
  /** The first of them. */
  errors: TransferError[]
}

/** One import or export. */
export type Transfer = TransferBase &
  (
    | {
        transferId: ImportId
        kind: 'IMPORT'
        clientToken?: string
        created: TransferCounts
        modified: TransferCounts
      }
    | { transferId: ExportId; kind: 'EXPORT'; written: TransferCounts }
  )

/** Errors that are kept: a file with more is wrong as a whole. */
export const maxTransferErrors = 200

/** Of one error: cells that it quotes may be of any length. */
export const maxErrorLength = 500

/** Nothing of anything. */
export const noCounts: TransferCounts = { servers: 0, applications: 0, waves: 0 }
