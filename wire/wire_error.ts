/**
 * Why an end of the replication protocol stops: an error that crosses the wire as data.
 * @module
 */
import type { WireErrorBody, WireErrorCode } from './message.ts'

/**
 * Whether connecting again later can help. Retrying never helps against a disagreement over what the other end is or may; it helps
 * against everything that passes or that a fresh connection puts right.
 */
const retryableByCode = {
  VERSION_MISMATCH: false,
  WRONG_SERVER: false,
  NOT_ASSIGNED: true,
  STALE_GENERATION: false,
  UNKNOWN_VOLUME: true,
  VOLUME_TOO_SMALL: false,
  BLOCK_SIZE_MISMATCH: false,
  BAD_FRAME: true,
  SEQUENCE_GAP: true,
  HASH_MISMATCH: true,
  OUT_OF_RANGE: false,
  NO_SPACE: true,
  VOLUME_IO_ERROR: true,
  WINDOW_EXCEEDED: true,
  SHUTTING_DOWN: true,
  INTERNAL: true,
} as const satisfies Record<WireErrorCode, boolean>

const maxMessageLength = 2000
const maxValueLength = 200

/** What a {@link WireError} says beside its message. */
export interface WireErrorDetail {
  expected?: string | number
  actual?: string | number
  diskIndex?: number
  /** Default: what the code says. */
  retryable?: boolean
  cause?: unknown
}

/** A reason to stop, found here or told by the other end. */
export class WireError extends Error {
  override name = 'WireError'
  readonly code: WireErrorCode
  readonly retryable: boolean
  readonly expected: string | undefined
  readonly actual: string | undefined
  readonly diskIndex: number | undefined

  constructor(code: WireErrorCode, message: string, detail: WireErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.code = code
    this.retryable = detail.retryable ?? retryableByCode[code]
    this.expected = detail.expected?.toString()
    this.actual = detail.actual?.toString()
    this.diskIndex = detail.diskIndex
  }

  /** What the ERROR frame carries. The cause stays at home: it may name paths. */
  toBody(): WireErrorBody {
    return {
      code: this.code,
      message: this.message.slice(0, maxMessageLength),
      retryable: this.retryable,
      ...(this.diskIndex === undefined ? {} : { diskIndex: this.diskIndex }),
      ...(this.expected === undefined ? {} : { expected: this.expected.slice(0, maxValueLength) }),
      ...(this.actual === undefined ? {} : { actual: this.actual.slice(0, maxValueLength) }),
    }
  }

  /** The error that the other end's ERROR frame tells of. */
  static fromBody(body: WireErrorBody): WireError {
    return new WireError(body.code, body.message, {
      retryable: body.retryable,
      ...(body.expected === undefined ? {} : { expected: body.expected }),
      ...(body.actual === undefined ? {} : { actual: body.actual }),
      ...(body.diskIndex === undefined ? {} : { diskIndex: body.diskIndex }),
    })
  }
}

/** Anything thrown as a {@link WireError}; what is not one becomes INTERNAL. */
export function asWireError(error: unknown): WireError {
  if (error instanceof WireError) return error
  return new WireError('INTERNAL', 'Cannot go on after an unexpected failure; see the log of this end', {
    cause: error,
  })
}
