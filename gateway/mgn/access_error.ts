/**
 * Why a caller of the MGN-compatible API is not let in, in the words that AWS's services use, so that every client knows what it is told.
 * @module
 */

/** The shapes and their statuses, as clients of restJson services know them. */
const statuses = {
  MissingAuthenticationTokenException: 403,
  IncompleteSignatureException: 400,
  InvalidSignatureException: 403,
  RequestExpired: 403,
  UnrecognizedClientException: 403,
  ExpiredTokenException: 403,
  AccessDeniedException: 403,
  ThrottlingException: 429,
} as const

/** The name of a shape: what goes into `x-amzn-errortype`. */
export type AccessErrorShape = keyof typeof statuses

/** A caller who is not let in. The answer is `status`, `x-amzn-errortype: shape`, `headers`, and the message as JSON. */
export class AccessError extends Error {
  override name = 'AccessError'
  readonly shape: AccessErrorShape
  readonly status: (typeof statuses)[AccessErrorShape]
  readonly headers: Readonly<Record<string, string>>
  constructor(shape: AccessErrorShape, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.shape = shape
    this.status = statuses[shape]
    this.headers = headers
  }
}
