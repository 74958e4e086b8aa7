/**
 * What callers may say of webhooks, by form or by JSON.
 * @module
 */
import { z } from 'zod'
import type { EventPattern } from '../domain/event_pattern.ts'
import { errorMessage } from '../domain/errors.ts'
import { readEventPattern } from '../domain/read_event_pattern.ts'

/** A pattern, refused as EventBridge would refuse it. */
export const patternSchema: z.ZodType<EventPattern> = z.unknown().transform((value, context) => {
  try {
    return readEventPattern(value)
  } catch (error) {
    context.addIssue({ code: 'custom', message: errorMessage(error) })
    return z.NEVER
  }
})

const urlSchema = z
  .string()
  .max(2048)
  .refine((text) => problemOfUrl(text) === undefined, {
    error: ({ input }) => problemOfUrl(String(input)) ?? '',
  })

function problemOfUrl(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return 'give a whole URL that begins with https:// or http://'
  if (url.username !== '' || url.password !== '')
    return 'a URL may hold no name and password: the signature says who sends'
  return url.hash === '' ? undefined : 'a URL to send to has no part after #'
}

/** Between 24 and 64 bytes, as Standard Webhooks asks. Whoever verifies may read base64 more strictly than Node does, so it must be whole. */
const secretSchema = z
  .string()
  .max(200)
  .refine(
    (text) => isSecret(text),
    'give whsec_ and 24 to 64 bytes in base64, or none for one that is made up',
  )

function isSecret(text: string): boolean {
  const [, encoded = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === encoded
}

const fields = {
  url: urlSchema,
  description: z.string().trim().max(200),
  pattern: patternSchema,
  isEnabled: z.boolean(),
}

/** What a new endpoint is made of. */
export const newWebhookSchema = z.strictObject({
  url: fields.url,
  description: fields.description.default(''),
  pattern: fields.pattern.prefault({}),
  secret: secretSchema.optional(),
})

/** What may be changed; what is left out stays. */
export const webhookChangeSchema = z.strictObject({
  url: fields.url.optional(),
  description: fields.description.optional(),
  pattern: fields.pattern.optional(),
  isEnabled: fields.isEnabled.optional(),
})

const longestOverlapSeconds = 7 * 86_400

/** How a secret is replaced: the one before signs too for so long. */
export const rotationSchema = z.strictObject({
  overlapSeconds: z.int().min(0).max(longestOverlapSeconds).default(86_400),
  secret: secretSchema.optional(),
})

const instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString())
const sequence = z.int().min(1).max(999_999_999_999)

/** What is sent again: a time, sequences of one server, or both; what matches the pattern of the endpoint. */
export const replaySchema = z
  .strictObject({
    from: instant.optional(),
    to: instant.optional(),
    sourceServerId: z.string().optional(),
    fromSequence: sequence.optional(),
    toSequence: sequence.optional(),
  })
  .superRefine(({ from, sourceServerId, fromSequence, toSequence }, context) => {
    const hasSequence = fromSequence !== undefined || toSequence !== undefined
    if (hasSequence && sourceServerId === undefined)
      context.addIssue({
        code: 'custom',
        path: ['sourceServerId'],
        message: 'sequences are of one server: name it',
      })
    if (from === undefined && fromSequence === undefined)
      context.addIssue({
        code: 'custom',
        path: ['from'],
        message: 'say from when (from), or from which event of a server (fromSequence)',
      })
  })
export type ReplayRange = z.infer<typeof replaySchema>
