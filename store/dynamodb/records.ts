/**
 * Records of initial replications in a DynamoDB table of their own, by `SourceServerID`: anybody's tools read it, as nothing of Rehost's own shape
 * is in it.
 * @module
 */
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { ReplicationRecord } from '../../domain/replication_record.ts'
import type { RecordTable } from '../record_settings.ts'
import type { FoundRecords, RecordStore } from '../records.ts'
import {
  ConditionalCheckFailedException,
  PutItemCommand,
  ResourceNotFoundException,
  ScanCommand,
} from '@aws-sdk/client-dynamodb'
import { reach } from './reach.ts'
import { itemOfRecord, recordKey, recordOfItem } from './record_item.ts'
import { ensureTable } from './table.ts'

/** Records on a table. */
export class DynamoRecords implements RecordStore {
  readonly #client: DynamoDBClient
  readonly #table: RecordTable
  #isThere: Promise<void> | undefined

  constructor(client: DynamoDBClient, table: RecordTable) {
    this.#client = client
    this.#table = table
  }

  initialise(): Promise<void> {
    this.#isThere ??= ensureTable(this.#client, this.#table.name, { partition: recordKey })
    this.#isThere.catch(() => this.#forgetTable())
    return this.#isThere
  }

  async add(record: ReplicationRecord): Promise<boolean> {
    await this.initialise()
    const command = new PutItemCommand({
      TableName: this.#table.name,
      Item: itemOfRecord(record, this.#table.timeZone),
      ConditionExpression: 'attribute_not_exists(#key)',
      ExpressionAttributeNames: { '#key': recordKey },
    })
    try {
      await reach(() => this.#client.send(command))
      return true
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false
      // Somebody has removed the table: it is made again next time.
      if (error instanceof ResourceNotFoundException) this.#forgetTable()
      throw error
    }
  }

  async list(): Promise<FoundRecords> {
    const found: FoundRecords = { records: [], unreadableIds: [] }
    let startKey: Record<string, AttributeValue> | undefined
    do {
      const page = await this.#scan(startKey)
      for (const item of page.items) {
        const record = recordOfItem(item)
        if (record === undefined) found.unreadableIds.push(item[recordKey]?.S ?? '')
        else found.records.push(record)
      }
      startKey = page.next
    } while (startKey !== undefined)
    return found
  }

  close(): Promise<void> {
    this.#client.destroy()
    return Promise.resolve()
  }

  async #scan(
    startKey: Record<string, AttributeValue> | undefined,
  ): Promise<{ items: Record<string, AttributeValue>[]; next?: Record<string, AttributeValue> | undefined }> {
    const command = new ScanCommand({
      TableName: this.#table.name,
      ConsistentRead: true,
      ...(startKey === undefined ? {} : { ExclusiveStartKey: startKey }),
    })
    try {
      const { Items = [], LastEvaluatedKey } = await reach(() => this.#client.send(command))
      return { items: Items, next: LastEvaluatedKey }
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return { items: [] }
      throw error
    }
  }

  #forgetTable(): void {
    this.#isThere = undefined
  }
}
