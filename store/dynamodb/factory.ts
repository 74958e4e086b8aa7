/**
 * Makes the store from settings that a `config.ts` has read.
 * @module
 */
import { randomUUID } from 'node:crypto'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Store } from '../store.ts'
import { DynamoStore } from './store.ts'

/** Where the table is. Credentials come from the SDK's own chain (environment, profile, instance role). */
export interface DynamoSettings {
  table: string
  region?: string | undefined
  endpoint?: string | undefined
}

/** Tries of one request, with the SDK's own back-off: throttling and lost connections pass, an outage does not hang a handler. */
const maxAttempts = 5

/** A store that has not been initialised yet. */
export function createDynamoStore(settings: DynamoSettings): Store {
  const client = new DynamoDBClient({
    maxAttempts,
    ...(settings.region === undefined ? {} : { region: settings.region }),
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
  })
  return new DynamoStore(client, settings.table, randomUUID)
}
