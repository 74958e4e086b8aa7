/**
 * The store on DynamoDB, or any endpoint that speaks its protocol: conditional writes of single items, nothing else.
 * @module
 */
import type { AttributeValue, DynamoDBClient, PutItemCommandInput } from '@aws-sdk/client-dynamodb'
import type { Entities, Key, Kind, ListOptions, Page, Store, Versioned } from '../store.ts'
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  DescribeTableCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb'
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb'
import { PermanentError } from '../../domain/errors.ts'
import { decodeCursor, encodeCursor, pageSize } from '../paging.ts'
import { RevisionConflictError } from '../store.ts'
import { reach } from './reach.ts'
import { ensureTable } from './table.ts'

/** DynamoDB's item limit is 400 kB; keys and attribute names need a little of it. */
const maxBodyBytes = 399_000

interface StoredItem {
  rev: number
  body: string
  /** Names the write that made the item what it is; missing in what older versions wrote. */
  write?: string
}

/** A store on a table of its own. */
export class DynamoStore implements Store {
  readonly #client: DynamoDBClient
  readonly #table: string
  readonly #newWriteId: () => string

  /** @param newWriteId a name that no other write has. */
  constructor(client: DynamoDBClient, table: string, newWriteId: () => string) {
    this.#client = client
    this.#table = table
    this.#newWriteId = newWriteId
  }

  initialise(): Promise<void> {
    return ensureTable(this.#client, this.#table, { partition: 'pk', sort: 'sk' })
  }

  async get<K extends Kind>(kind: K, key: Key): Promise<Versioned<Entities[K]> | undefined> {
    const { Item } = await reach(() =>
      this.#client.send(
        new GetItemCommand({ TableName: this.#table, Key: keyOf(kind, key), ConsistentRead: true }),
      ),
    )
    return Item === undefined ? undefined : read<K>(Item)
  }

  async create<K extends Kind>(kind: K, key: Key, value: Entities[K]): Promise<number> {
    await this.#put(`create ${kind} ${key.id}: it exists`, kind, key, {
      Item: itemOf(kind, key, 1, value),
      ConditionExpression: 'attribute_not_exists(pk)',
    })
    return 1
  }

  async replace<K extends Kind>(kind: K, key: Key, revision: number, value: Entities[K]): Promise<number> {
    await this.#put(`write ${kind} ${key.id} at revision ${revision}: it has another`, kind, key, {
      Item: itemOf(kind, key, revision + 1, value),
      ConditionExpression: 'rev = :revision',
      ExpressionAttributeValues: marshall({ ':revision': revision }),
    })
    return revision + 1
  }

  async remove(kind: Kind, key: Key, revision?: number): Promise<void> {
    const condition =
      revision === undefined
        ? {}
        : {
            ConditionExpression: 'attribute_not_exists(pk) OR rev = :revision',
            ExpressionAttributeValues: marshall({ ':revision': revision }),
          }
    const command = new DeleteItemCommand({ TableName: this.#table, Key: keyOf(kind, key), ...condition })
    try {
      await reach(() => this.#client.send(command))
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      throw new RevisionConflictError(
        `Cannot remove ${kind} ${key.id} at revision ${revision}: it has another`,
        { cause: error },
      )
    }
  }

  async list<K extends Kind>(kind: K, options: ListOptions = {}): Promise<Page<Entities[K]>> {
    const limit = pageSize(options.limit)
    const pk = partitionOf(kind, options.parent)
    const items: Versioned<Entities[K]>[] = []
    let startId = options.cursor === undefined ? undefined : decodeCursor(options.cursor)
    // A query page ends at 1 MB, so a page of ours may take several. One more than asked for tells whether there is a next page.
    for (;;) {
      const { Items = [], LastEvaluatedKey } = await reach(() =>
        this.#client.send(
          new QueryCommand({
            TableName: this.#table,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: marshall({ ':pk': pk }),
            ConsistentRead: true,
            ScanIndexForward: options.descending !== true,
            Limit: limit + 1 - items.length,
            ...(startId === undefined ? {} : { ExclusiveStartKey: marshall({ pk, sk: startId }) }),
          }),
        ),
      )
      for (const item of Items) {
        if (items.length === limit)
          return { items, ...(startId === undefined ? {} : { cursor: encodeCursor(startId) }) }
        items.push(read<K>(item))
        startId = item['sk']?.S
      }
      if (LastEvaluatedKey === undefined) return { items }
    }
  }

  async ping(): Promise<void> {
    await reach(() => this.#client.send(new DescribeTableCommand({ TableName: this.#table })))
  }

  close(): Promise<void> {
    this.#client.destroy()
    return Promise.resolve()
  }

  /** Writes an item under a condition. A write whose answer was lost is sent again by the client and refused then, though it was done. */
  async #put(
    what: string,
    kind: Kind,
    key: Key,
    put: Pick<PutItemCommandInput, 'ConditionExpression' | 'ExpressionAttributeValues'> & {
      Item: Record<string, AttributeValue>
    },
  ): Promise<void> {
    const write = this.#newWriteId()
    const Item = { ...put.Item, ...marshall({ write }) }
    try {
      await reach(() => this.#client.send(new PutItemCommand({ ...put, TableName: this.#table, Item })))
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      const wasSentAgain = (error.$metadata.attempts ?? 1) > 1
      if (wasSentAgain && (await this.#isBy(write, kind, key))) return
      throw new RevisionConflictError(`Cannot ${what}`, { cause: error })
    }
  }

  /** Whether the item is as `write` made it. */
  async #isBy(write: string, kind: Kind, key: Key): Promise<boolean> {
    const { Item } = await reach(() =>
      this.#client.send(
        new GetItemCommand({ TableName: this.#table, Key: keyOf(kind, key), ConsistentRead: true }),
      ),
    )
    return Item !== undefined && (unmarshall(Item) as StoredItem).write === write
  }
}

function partitionOf(kind: Kind, parent: string | undefined): string {
  return parent === undefined ? kind : `${kind}#${parent}`
}

function keyOf(kind: Kind, key: Key): Record<string, AttributeValue> {
  return marshall({ pk: partitionOf(kind, key.parent), sk: key.id })
}

function itemOf(kind: Kind, key: Key, revision: number, value: unknown): Record<string, AttributeValue> {
  const body = JSON.stringify(value)
  const bodyBytes = Buffer.byteLength(body)
  if (bodyBytes > maxBodyBytes) {
    throw new PermanentError(
      `Cannot store ${kind} ${key.id}: ${bodyBytes} bytes are more than an item may have (${maxBodyBytes})`,
    )
  }
  return { ...keyOf(kind, key), ...marshall({ rev: revision, body }) }
}

function read<K extends Kind>(item: Record<string, AttributeValue>): Versioned<Entities[K]> {
  const stored = unmarshall(item) as StoredItem
  return { value: JSON.parse(stored.body) as Entities[K], revision: stored.rev }
}
