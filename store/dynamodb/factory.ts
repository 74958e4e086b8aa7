/**
 * Makes the store, and that of records, from settings that a `config.ts` has read.
 * @module
 */
import { randomUUID } from 'node:crypto'
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
  return new DynamoDBClient({
    maxAttempts,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
}
