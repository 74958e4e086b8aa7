/**
 * Makes the store, and that of records, from settings that a `config.ts` has read.
 * @module
 */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Store } from '../store.ts'
import type { RecordStore } from '../records.ts'
import type { RecordTable } from '../record_settings.ts'
import { DynamoRecords } from './records.ts'
import { DynamoStore } from './store.ts'

/** Where DynamoDB is. */
export interface DynamoPlace {
  region?: string | undefined
  endpoint?: string | undefined
  /** Left out, they come from the SDK's own chain (environment, profile, instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string }
}

/** Where the table is. */
export interface DynamoSettings extends DynamoPlace {
  table: string
}

/** Tries of one request, with the SDK's own back-off: throttling and lost connections pass, an outage does not hang a handler. */
const maxAttempts = 5

/** A store that has not been initialised yet. */
export function createDynamoStore(settings: DynamoSettings): Store {
  return new DynamoStore(clientOf(settings), settings.table, randomUUID)
}

/** Records of initial replications, whose table is made when it is first needed. */
export function createDynamoRecords(place: DynamoPlace, table: RecordTable): RecordStore {
  return new DynamoRecords(clientOf(place), table)
}

function clientOf({ region, endpoint, credentials }: DynamoPlace): DynamoDBClient {
  const client = new DynamoDBClient({
    maxAttempts,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      await readWhole(result.response as Answer)
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'readWhole' },
  )
  return client
}

/** An answer, before the SDK reads it. */
interface Answer {
  body?: unknown
}

/**
 * Has the body in one piece. The SDK would pipe it through a stream of its own, and then all that the call holds, its caller too, outlives the young garbage that it is: 4 kB
 * of each call and more. At a hundred calls a second that is most of what makes all of a gateway's memory be gone through.
 */
async function readWhole(answer: Answer): Promise<void> {
  if (answer.body instanceof Readable) answer.body = await buffer(answer.body)
}
