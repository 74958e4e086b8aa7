/**
 * Whatever members an operation is called with: it answers with success or with a refusal in MGN's shapes, never with a failure of ours.
 * @module
 */
import type { Arbitrary } from 'fast-check'
import {
  array,
  assert,
  asyncProperty,
  boolean,
  constantFrom,
  dictionary,
  integer,
  jsonValue,
  oneof,
  record,
  string,
  stringMatching,
} from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { operations } from '../../../../gateway/mgn/operations.ts'
import { seedFor } from '../../../fixtures/seed.ts'
import type { MgnService } from './mgn_service.ts'
import { call, mgnService, post, readyServer } from './mgn_service.ts'
import { declaredShapes, modelErrors } from './model_errors.ts'

let service: MgnService
/** Ids of things that there are, by what they begin with. */
let ids: Record<string, string>
let arns: string[]
const seed = seedFor('operations of MGN')

// Anew for each, as some take away what they are called for, and what all of them made would pass the quotas.
beforeEach(async () => {
  service = await mgnService()
  const made = async (operation: string, input: object): Promise<Record<string, unknown>> => {
    const { status, text, body } = await post(service, operation, JSON.stringify(input))
    expect(status, text).toBeLessThan(300)
    return body
  }
  const { sourceServerId } = await readyServer(service)
  const { job } = await made('StartTest', { sourceServerIDs: [sourceServerId] })
  const application = await made('CreateApplication', { name: 'shop' })
  const wave = await made('CreateWave', { name: 'shop' })
  const replication = await made('CreateReplicationConfigurationTemplate', {
    associateDefaultSecurityGroup: true,
    bandwidthThrottling: 0,
    createPublicIP: false,
    dataPlaneRouting: 'PRIVATE_IP',
    defaultLargeStagingDiskType: 'GP3',
    ebsEncryption: 'DEFAULT',
    replicationServerInstanceType: 'local',
    replicationServersSecurityGroupsIDs: [],
    stagingAreaSubnetId: 'subnet-00000000',
    stagingAreaTags: {},
    useDedicatedReplicationServer: false,
  })
  const launch = await made('CreateLaunchConfigurationTemplate', {})
  const { exportTask } = await made('StartExport', { s3Bucket: 'inventory', s3Key: 'servers.csv' })
  const { importTask } = await made('StartImport', {
    s3BucketSource: { s3Bucket: 'inventory', s3Key: 'servers.csv' },
  })
  const own = [job, application, wave, replication, launch, exportTask, importTask] as Record<
    string,
    string
  >[]
  arns = own.map(({ arn = '' }) => arn)
  const named = own.map((thing) => Object.entries(thing).find(([name]) => name.endsWith('ID'))?.[1] ?? '')
  ids = Object.fromEntries([sourceServerId, ...named].map((id) => [id.slice(0, id.indexOf('-') + 1), id]))
})

afterEach(() => service.close())

/** Values that programs send by mistake, or on purpose. */
const odd = oneof(
  jsonValue({ maxDepth: 2 }),
  constantFrom<unknown>(
    null,
    '',
    '\0',
    '__proto__',
    'constructor',
    -1,
    0,
    1e308,
    2 ** 53,
    true,
    [],
    {},
    [null],
    [[]],
  ),
  record({ __proto__: string(), toString: string() }, { requiredKeys: [] }),
)

/** Mostly what the schema describes, so that the inner doors are reached; now and then something else. */
function valueFor(schema: unknown): Arbitrary<unknown> {
  const fitting = fittingFor(schema)
  return oneof({ arbitrary: fitting, weight: 4 }, { arbitrary: odd, weight: 1 })
}

type JsonSchema = {
  type?: string
  pattern?: string
  enum?: unknown[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  additionalProperties?: JsonSchema | boolean
  minimum?: number
  maximum?: number
}

function fittingFor(schema: unknown): Arbitrary<unknown> {
  const json = schema as JsonSchema
  if (json.enum !== undefined) return constantFrom(...json.enum)
  const [, prefix = ''] = /^\^([a-z]+-)\[/.exec(json.pattern ?? '') ?? []
  if (prefix !== '') return constantFrom(ids[prefix] ?? '', `${prefix}00000000000000001`, prefix, '')
  if (json.pattern !== undefined) return stringMatching(new RegExp(json.pattern.replace('(?:', '(')))
  switch (json.type) {
    case 'object':
      return json.properties === undefined
        ? dictionary(string(), valueFor(json.additionalProperties ?? {}), { maxKeys: 4 })
        : record(
            Object.fromEntries(
              Object.entries(json.properties).map(([name, own]) => [
                name,
                name === 'resourceArn'
                  ? constantFrom(...arns, 'arn:aws:mgn:us-east-1:123456789012:job/x')
                  : valueFor(own),
              ]),
            ),
            { requiredKeys: json.required ?? [] },
          )
    case 'array':
      return array(valueFor(json.items ?? {}), { maxLength: 4 })
    case 'boolean':
      return boolean()
    case 'integer':
    case 'number':
      return integer({ min: json.minimum ?? 0, max: Math.min(json.maximum ?? 1000, 2 ** 31) })
    case 'string':
      return string()
    default:
      return odd
  }
}

describe.each(operations.map((operation) => [operation.name, operation] as const))(
  '%s',
  (_name, operation) => {
    it('answers any members with success or a refusal of its own that names what is wrong', async () => {
      const undeclared: readonly string[] = await undeclaredErrors(operation.name)
      const members = fittingFor(z.toJSONSchema(operation.input, { unrepresentable: 'any' }))
      await assert(
        asyncProperty(members, async (input) => {
          const path = operation.path.replace(':resourceArn', encodeURIComponent(arnIn(input)))
          const { status, shape, text } = await call(service, {
            method: operation.method,
            path,
            headers: { 'content-type': 'application/json' },
            body: operation.method === 'POST' ? JSON.stringify(input) : '',
          })
          if (status < 300) return
          expect(status, `${text} ${service.gateway.logged.at(-1) ?? ''}`).toBeLessThan(500)
          expect(shape, text).toMatch(/Exception$/)
          expect(undeclared, text).not.toContain(shape)
          const body = JSON.parse(text) as {
            message: string
            fieldList?: { name: string }[]
            reason?: string
          }
          expect(body.message).not.toBe('')
          if (body.reason === 'fieldValidationFailed') expect(body.fieldList?.[0]?.name).toMatch(/\S/)
        }),
        { seed, numRuns: Number(process.env['MGN_RUNS'] ?? 40) },
      )
    })
  },
)

async function undeclaredErrors(operation: string): Promise<string[]> {
  const errors = await modelErrors(operation)
  return declaredShapes.filter((shape) => !errors.includes(shape))
}

function arnIn(input: unknown): string {
  const arn = (input as { resourceArn?: unknown }).resourceArn
  return typeof arn === 'string' && arn !== '' ? arn : 'arn:aws:mgn:us-east-1:123456789012:job/x'
}
