/**
 * Making tables, and the shape of the one that Rehost's state is in: an item per aggregate, found by kind and parent, listed by kind.
 *
 * | attribute | what |
 * | --- | --- |
 * | `pk` | `kind` or `kind#parent` for kinds that have one |
 * | `sk` | id |
 * | `rev` | revision, from 1 |
 * | `body` | the value as JSON |
 *
 * All items of a kind without parent share a partition: a listing is one query, and no index has to catch up. DynamoDB splits hot
 * partitions by sort key on its own; installations stay far below its limits (10,000 servers write about 1,000 items a second at most).
 * @module
 */
import {
  CreateTableCommand,
  DescribeTableCommand,
  ResourceInUseException,
  ResourceNotFoundException,
} from '@aws-sdk/client-dynamodb'
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { setTimeout as sleep } from 'node:timers/promises'

/** Tables become active within seconds; after this time something is wrong. */
const activeTimeoutMs = 60_000

/** The attributes that items are found by; all of them texts. */
export interface TableKeys {
  partition: string
  sort?: string
}

/**
 * Makes the table if it is missing and waits until it can be used.
 * @throws Error naming the table when it does not become active, with the state seen, and when DynamoDB is not there, where it was looked for or refuses.
 */
export async function ensureTable(client: DynamoDBClient, table: string, keys: TableKeys): Promise<void> {
  try {
    await makeTable(client, table, keys)
  } catch (cause) {
    const where = 'AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB (else AWS_ENDPOINT_URL, else AWS) say where'
    throw new Error(`Cannot use table ${table} of the store, which is DynamoDB; ${where}`, { cause })
  }
}

async function makeTable(client: DynamoDBClient, table: string, keys: TableKeys): Promise<void> {
  if ((await tableStatus(client, table)) === undefined) await createTable(client, table, keys)
  const deadline = Date.now() + activeTimeoutMs
  for (;;) {
    const status = await tableStatus(client, table)
    if (status === 'ACTIVE') return
    if (Date.now() > deadline)
      throw new Error(
        `Table ${table} is ${status ?? 'missing'} after ${activeTimeoutMs / 1000} s, not ACTIVE`,
      )
    await sleep(200)
  }
}

async function tableStatus(client: DynamoDBClient, table: string): Promise<string | undefined> {
  try {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: table }))
    return Table?.TableStatus
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined
    throw error
  }
}

async function createTable(client: DynamoDBClient, table: string, keys: TableKeys): Promise<void> {
  const names = [keys.partition, ...(keys.sort === undefined ? [] : [keys.sort])]
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: names.map((name) => ({ AttributeName: name, AttributeType: 'S' })),
        KeySchema: names.map((name) => ({
          AttributeName: name,
          KeyType: name === keys.partition ? 'HASH' : 'RANGE',
        })),
      }),
    )
  } catch (error) {
    // Another process was faster.
    if (!(error instanceof ResourceInUseException)) throw error
  }
}
