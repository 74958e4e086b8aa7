/**
 * The one table: an item per aggregate, found by kind and parent, listed by kind.
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

/**
 * Makes the table if it is missing and waits until it can be used.
 * @throws Error when it does not become active, with the state seen.
 */
export async function ensureTable(client: DynamoDBClient, table: string): Promise<void> {
  if ((await tableStatus(client, table)) === undefined) await createTable(client, table)
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

async function createTable(client: DynamoDBClient, table: string): Promise<void> {
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
      }),
    )
  } catch (error) {
    // Another process was faster.
    if (!(error instanceof ResourceInUseException)) throw error
  }
}
