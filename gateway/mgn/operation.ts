/**
 * What an operation of the API is: a row of the table that `mgn_app.ts` serves.
 * @module
 */
import type { z } from 'zod'
import type { Obstacle } from '../../domain/errors.ts'
import type { Services } from '../services.ts'
import type { Account } from './account.ts'
import type { Caller } from './caller.ts'
import { withoutNulls } from './body.ts'
import { asDeclared } from './declared_errors.ts'
import { MgnError, asMgnError, wrongFields } from './mgn_error.ts'

/** What an operation works with. */
export interface MgnContext {
  services: Services
  account: Account
  caller: Caller
}

/** What is declared of an operation. */
interface Declared<Input> {
  name: string
  /** Status of success. */
  status: 200 | 201 | 202 | 204
  input: z.ZodType<Input>
  /** It is refused until the account is initialised, unless told. */
  worksUninitialised?: boolean
  /** Where it is, when that is not `POST /Name`. */
  route?: { method: 'GET' | 'POST' | 'DELETE'; path: string }
  run(context: MgnContext, input: Input): Promise<object | undefined>
}

/** An operation, whatever its input is. */
export interface Operation {
  readonly name: string
  readonly status: 200 | 201 | 202 | 204
  readonly worksUninitialised: boolean
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** Whether members also stand in path and query. */
  readonly hasRoute: boolean
  readonly input: z.ZodType
  /** Reads the members against the schema and runs. @throws ZodError, MgnError, AccessError. */
  call(context: MgnContext, members: Record<string, unknown>): Promise<object | undefined>
}

/** Makes a row of the table. */
export function operation<Input>(declared: Declared<Input>): Operation {
  const { name, status, input, worksUninitialised = false, route, run } = declared
  return {
    name,
    status,
    input,
    worksUninitialised,
    method: route?.method ?? 'POST',
    path: route?.path ?? `/${name}`,
    hasRoute: route !== undefined,
    call: async (context, members) => {
      const given = input.parse(withoutNulls(members, input))
      requireOwnAccount(context.account, given)
      try {
        return await run(context, given)
      } catch (error) {
        const refusal = asMgnError(error, subjectOf(given))
        throw refusal instanceof MgnError ? asDeclared(name, refusal, given as object) : refusal
      }
    },
  }
}

/** @throws MgnError for a call that is meant for another account: what it names there is not what has the same name here. */
function requireOwnAccount({ accountId }: Account, given: unknown): void {
  const { accountID } = given as { accountID?: string }
  if (accountID === undefined || accountID === accountId) return
  throw wrongFields([
    {
      name: 'accountID',
      message: `must be ${accountId}, the only account that is managed here, or be left out`,
    },
  ])
}

/** The kinds of things that operations are called for, by the member that names the one. */
const subjectTypes = {
  sourceServerID: 'SourceServer',
  applicationID: 'Application',
  waveID: 'Wave',
  jobID: 'Job',
  launchConfigurationTemplateID: 'LaunchConfigurationTemplate',
  replicationConfigurationTemplateID: 'ReplicationConfigurationTemplate',
} as const

/** What an operation is called for. */
function subjectOf(given: unknown): Obstacle | undefined {
  const members = given as Partial<Record<keyof typeof subjectTypes, string>>
  for (const [name, resourceType] of Object.entries(subjectTypes)) {
    const resourceId = members[name as keyof typeof subjectTypes]
    if (resourceId !== undefined) return { resourceType, resourceId }
  }
  return undefined
}
