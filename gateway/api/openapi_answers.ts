/**
 * The schemas of answers as the document has them: each that has a name is a component, and referred to by it.
 * @module
 */
import type { DescribedCall } from './calls/described_call.ts'
import { z } from 'zod'
import { problemSchema } from '../../wire/control_api.ts'
import { migrationCertificate } from './answers/certificate_answers.ts'

type Json = Record<string, unknown>

/** Named although no answer refers to them: what lies in texts that are JSON, and what refusals refer to. */
const others = {
  problem: problemSchema.meta({ id: 'Problem', description: 'RFC 9457: what is wrong, and what to do' }),
  certificate: migrationCertificate,
}

/**
 * What zod says more than a client can use. Fields that come later must break no client, so none are ruled out; that a type is read-only is the source's
 * own matter; every name in JSON is a string; a time is named by its format; and whole numbers are as large as JavaScript's, for which a generated client needs 64 bits.
 */
function asClientsNeedIt({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
  delete jsonSchema.readOnly
  delete jsonSchema.propertyNames
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) {
    delete jsonSchema.maximum
    jsonSchema.format = 'int64'
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
  }
}

/** The schema of the answer of each of `calls`, in their order, undefined where there is none; and the components that they refer to. */
export function answerSchemas(calls: readonly DescribedCall[]): {
  answers: (Json | undefined)[]
  schemas: Json
} {
  const named = calls.flatMap(({ answer }, index) =>
    answer === undefined ? [] : [[`call ${index}`, answer]],
  )
  const all = z.object({ ...others, ...(Object.fromEntries(named) as Record<string, z.ZodType>) })
  const made = z.toJSONSchema(all, { io: 'output', override: asClientsNeedIt })
  const text = JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/')
  const { properties, $defs } = JSON.parse(text) as { properties: Record<string, Json>; $defs: Json }
  return { answers: calls.map((_call, index) => properties[`call ${index}`]), schemas: $defs }
}
