/**
 * Where records of initial replications are kept and on which clocks their times are told, as every process that needs it reads it from its
 * environment.
 * @module
 */
import { z } from 'zod'
import { canonicalTimeZone } from '../domain/zoned_time.ts'

/** Where they are kept, and on which clocks their times are told. */
export interface RecordTable {
  name: string
  timeZone: string
}

/** The one spelling of a time zone, as names of attributes follow from it. */
const timeZone = z.string().transform((name, context) => {
  try {
    return canonicalTimeZone(name)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    context.addIssue(`there is no time zone ${name}; write it as IANA names it, such as Europe/Berlin or UTC`)
    return z.NEVER
  }
})

/** The variables, for the schema of an environment. */
export const recordVariables = {
  // What DynamoDB takes as the name of a table.
  REHOST_RECORD_TABLE: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{3,255}$/, '3 to 255 letters, digits, dots, hyphens and underscores')
    .default('mgn_initial_replication_info'),
  REHOST_RECORD_TIME_ZONE: timeZone.default('UTC'),
}

/** The settings in what such a schema has read. @throws TypeError for the table that Rehost's own state is in. */
export function recordTableOf(environment: {
  REHOST_TABLE: string
  REHOST_RECORD_TABLE: string
  REHOST_RECORD_TIME_ZONE: string
}): RecordTable {
  if (environment.REHOST_RECORD_TABLE === environment.REHOST_TABLE)
    throw new TypeError(
      `Cannot read the environment: REHOST_RECORD_TABLE is ${environment.REHOST_TABLE} as REHOST_TABLE is; records need a table of their own`,
    )
  return { name: environment.REHOST_RECORD_TABLE, timeZone: environment.REHOST_RECORD_TIME_ZONE }
}
