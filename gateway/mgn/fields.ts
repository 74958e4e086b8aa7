/**
 * The fields of which the inputs of operations are made, with the lengths, patterns and ranges of the service model.
 * @module
 */
import { z } from 'zod'
import { maxTags } from '../../domain/tags.ts'

/** An identifier: its prefix and 17 letters or digits. */
function idOf(prefix: string): z.ZodType<string> {
  const pattern = new RegExp(`^${prefix}-[0-9a-zA-Z]{17}$`)
  return z.string().regex(pattern, `must be ${prefix}- and 17 letters or digits`)
}

export const sourceServerID = idOf('s')
export const jobID = idOf('mgnjob')
export const applicationID = idOf('app')
export const waveID = idOf('wave')
export const replicationConfigurationTemplateID = idOf('rct')
export const launchConfigurationTemplateID = idOf('lct')
export const vcenterClientID = idOf('vcc')
export const connectorID = idOf('connector')
export const importID = idOf('import')
export const exportID = idOf('export')

export const accountID = z.string().regex(/^\d{12}$/, 'must be 12 digits')

/** Members that most operations take. */
export const ofAccount = { accountID: accountID.optional() }

/** Members of every operation that answers in pages. */
export const paging = {
  maxResults: z.int().min(1).max(1000).optional(),
  nextToken: z.string().max(2048).optional(),
}

/** The same where they stand in the query of a URL. */
export const queryPaging = {
  maxResults: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a number from 1 to 1000')
    .transform(Number)
    .pipe(z.int().min(1).max(1000))
    .optional(),
  nextToken: z.string().max(2048).optional(),
}

const tagText = z.string().max(256)

/** Tags; keys have at least one character. */
export const tags = z
  .record(z.string().min(1).max(256), tagText)
  .refine((value) => Object.keys(value).length <= maxTags, `must have at most ${maxTags} tags`)
  .refine(
    (value) => !Object.keys(value).some((key) => key.toLowerCase().startsWith('aws:')),
    'must have no key that begins with aws:, which is reserved',
  )

/** ISO 8601 in UTC, 19 to 32 characters. */
export const dateTime = z
  .string()
  .min(19)
  .max(32)
  .regex(
    /^[1-9]\d*-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?Z$/,
    'must be a time in UTC such as 2025-02-10T04:08:22Z',
  )

/** The name of an application or wave. */
export const plainName = z
  .string()
  .min(1)
  .max(256)
  // eslint-disable-next-line no-control-regex -- the model excludes exactly the null character
  .regex(/^[^\s\0]( *[^\s\0])*$/, 'must not begin or end with a space')

export const description = z
  .string()
  .max(600)
  .refine((text) => !text.includes('\0'), 'must have no null character')
