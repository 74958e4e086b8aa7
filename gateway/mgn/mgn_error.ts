/**
 * Refusals in MGN's shapes: a status, the shape's name in `x-amzn-errortype`, and its members as JSON. Statuses and members: section 1.1 of the
 * API notes.
 * @module
 */
import type { Context } from 'hono'
import type { Obstacle } from '../../domain/errors.ts'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { ZodError } from 'zod'
import {
  ConflictError,
  InvalidInputError,
  NotFoundError,
  PermanentError,
  errorMessage,
} from '../../domain/errors.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { AccessError } from './access_error.ts'

/** Statuses by shape; those of signatures and rights are in `access_error.ts`. */
const statuses = {
  ValidationException: 400,
  UninitializedAccountException: 400,
  ResourceNotFoundException: 404,
  ConflictException: 409,
  ServiceQuotaExceededException: 402,
  RequestEntityTooLargeException: 413,
  UnsupportedMediaTypeException: 415,
  ThrottlingException: 429,
  InternalServerException: 500,
  ServiceUnavailableException: 503,
} as const satisfies Record<string, ContentfulStatusCode>

/** The name of an error shape. */
export type MgnErrorShape = keyof typeof statuses

/** Members beside the message. */
export type MgnErrorMembers = Readonly<Record<string, unknown>>

/** One field that is wrong, as `fieldList` of a ValidationException names it. */
export interface WrongField {
  name: string
  message: string
}

/** A refusal. */
export class MgnError extends Error {
  override name = 'MgnError'
  readonly shape: MgnErrorShape
  readonly members: MgnErrorMembers
  readonly headers: Readonly<Record<string, string>>

  constructor(
    shape: MgnErrorShape,
    message: string,
    options: ErrorOptions & { members?: MgnErrorMembers; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message, options)
    this.shape = shape
    this.members = options.members ?? {}
    this.headers = options.headers ?? {}
  }

  get status(): ContentfulStatusCode {
    return statuses[this.shape]
  }
}

/** The input is wrong in these fields. */
export function wrongFields(fieldList: readonly WrongField[], options?: ErrorOptions): MgnError {
  const sentences = fieldList.map(({ name, message }) => `${name}: ${message}`)
  return new MgnError('ValidationException', `The request is not valid. ${sentences.join('; ')}`, {
    ...options,
    members: { reason: 'fieldValidationFailed', fieldList },
  })
}

/** Nothing can be read of the body. */
export function cannotParse(message: string, options?: ErrorOptions): MgnError {
  return new MgnError('ValidationException', message, { ...options, members: { reason: 'cannotParse' } })
}

/** What this installation cannot do for anybody, or cannot do with the cloud that it has. */
export function notSupported(field: string, message: string): MgnError {
  return wrongFields([{ name: field, message }])
}

/** At most so many fields are named: a list of a thousand wrong ones says no more. */
const maxFieldsNamed = 20

/** The body names types as MGN does. */
const resourceTypes: Readonly<Record<string, string>> = {
  'source server': 'SourceServer',
  job: 'Job',
}

/**
 * Any error as a refusal in MGN's shapes; `subject` is what was asked for, which is in the way where the error names nothing else. What nobody
 * expects becomes a 500 whose cause goes to the log and not to the caller.
 */
export function asMgnError(error: unknown, subject?: Obstacle): MgnError | AccessError {
  if (error instanceof MgnError || error instanceof AccessError) return error
  if (error instanceof ZodError) {
    const fields = error.issues.slice(0, maxFieldsNamed).map((issue) => ({
      name: issue.path.length === 0 ? 'body' : issue.path.join('.'),
      message: issue.message,
    }))
    return wrongFields(fields, { cause: error })
  }
  if (error instanceof NotFoundError) {
    const resourceType = resourceTypes[error.resourceType] ?? error.resourceType
    return new MgnError('ResourceNotFoundException', error.message, {
      cause: error,
      members: { resourceId: error.resourceId, resourceType },
    })
  }
  if (error instanceof ConflictError || error instanceof PermanentError) {
    const obstacle = (error instanceof ConflictError ? error.obstacle : undefined) ?? subject
    return new MgnError('ConflictException', error.message, { cause: error, members: { ...obstacle } })
  }
  if (error instanceof InvalidInputError)
    return wrongFields([{ name: error.field, message: error.message }], { cause: error })
  if (error instanceof RevisionConflictError)
    return new MgnError(
      'ThrottlingException',
      'Too many changed this at the same moment; try again in a second',
      { cause: error, headers: { 'Retry-After': '1' } },
    )
  return new MgnError(
    'InternalServerException',
    'Rehost could not answer; the reason is in the log of the gateway',
    {
      cause: error,
      headers: { 'Retry-After': '1' },
    },
  )
}

/** The answer to a refused call. */
export function mgnErrorResponse(c: Context, error: MgnError | AccessError): Response {
  for (const [name, value] of Object.entries(error.headers)) c.header(name, value)
  c.header('x-amzn-errortype', error.shape)
  const members = error instanceof MgnError ? error.members : {}
  const body = { message: error.message, code: error.shape, ...members }
  return c.body(JSON.stringify(body), error.status, { 'Content-Type': 'application/json' })
}

/** What the log says of a failure of ours. */
export function reasonForLog(error: Error): string {
  return errorMessage(error.cause ?? error)
}
