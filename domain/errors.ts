/**
 * Errors answer two questions: does the thing not exist, and can a retry help. Everything else is in the message.
 * @module
 */

/** The thing named does not exist. */
export class NotFoundError extends Error {
  override name = 'NotFoundError'
  readonly resourceType: string
  readonly resourceId: string
  constructor(resourceType: string, resourceId: string, options?: ErrorOptions) {
    super(`Cannot find ${resourceType} ${resourceId}`, options)
    this.resourceType = resourceType
    this.resourceId = resourceId
  }
}

/** The thing that is in the way. */
export interface Obstacle {
  resourceType: string
  resourceId: string
}

/** What was asked is not possible in the state things are in; asking again without a change is useless. */
export class ConflictError extends Error {
  override name = 'ConflictError'
  /** What is in the way, where that is another thing than the one that was asked for. */
  readonly obstacle: Obstacle | undefined
  constructor(message: string, { obstacle, ...options }: ErrorOptions & { obstacle?: Obstacle } = {}) {
    super(message, options)
    this.obstacle = obstacle
  }
}

/** Retrying cannot help: the work ends, its steps are undone and the operator is told. */
export class PermanentError extends Error {
  override name = 'PermanentError'
}

/** The input is wrong; `field` names which part of it. */
export class InvalidInputError extends Error {
  override name = 'InvalidInputError'
  readonly field: string
  constructor(field: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.field = field
  }
}

/** Whether doing the same again cannot help. */
export function isPermanent(error: unknown): boolean {
  return (
    error instanceof PermanentError ||
    error instanceof ConflictError ||
    error instanceof NotFoundError ||
    error instanceof InvalidInputError
  )
}

/** The message of anything thrown, with the messages of its causes after it. Never a stack. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message || error.name
  return error.cause === undefined ? own : `${own}: ${errorMessage(error.cause)}`
}

/** Closes a `switch` on a closed set: the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`Unexpected value ${JSON.stringify(value)}`)
}
