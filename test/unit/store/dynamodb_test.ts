import { randomUUID } from 'node:crypto'
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoStore } from '../../../store/dynamodb/store.ts'
import { RevisionConflictError } from '../../../store/store.ts'
import { TestDynamoDb } from '../../fixtures/dynamodb.ts'

/** A real endpoint, and a client whose answers are lost on their way as often as a test wants. */
let endpoint: TestDynamoDb
let client: DynamoDBClient
let store: DynamoStore
let answersToLose = 0
/** Done when an answer is lost, before the client sends again. */
let meanwhile: () => Promise<void> = async () => undefined

beforeAll(async () => {
  endpoint = await TestDynamoDb.start()
  client = new DynamoDBClient({ endpoint: endpoint.url, region: 'local', maxAttempts: 5 })
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const answer = await next(args)
      if (context.commandName !== PutItemCommand.name || answersToLose === 0) return answer
      answersToLose--
      await meanwhile()
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    },
    { step: 'deserialize', priority: 'high' },
  )
  store = new DynamoStore(client, 'rehost-test', randomUUID)
  await store.initialise()
})

afterAll(async () => {
  await store.close()
  await endpoint.stop()
})

const setting = (value: string) => ({ name: 'a', value })

describe('a write whose answer is lost', () => {
  it('counts once, as it was done', async () => {
    answersToLose = 1
    expect(await store.create('setting', { id: 'a' }, setting('one'))).toBe(1)
    answersToLose = 1
    expect(await store.replace('setting', { id: 'a' }, 1, setting('two'))).toBe(2)
    expect(await store.get('setting', { id: 'a' })).toEqual({ value: setting('two'), revision: 2 })
    expect(answersToLose).toBe(0)
  })

  it('is a conflict when another writer came in between', async () => {
    const other = endpoint.store()
    await store.create('setting', { id: 'b' }, setting('one'))
    answersToLose = 1
    meanwhile = async () => {
      await other.replace('setting', { id: 'b' }, 2, setting('other'))
    }
    await expect(store.replace('setting', { id: 'b' }, 1, setting('two'))).rejects.toBeInstanceOf(
      RevisionConflictError,
    )
    meanwhile = async () => undefined
    expect((await store.get('setting', { id: 'b' }))?.value).toEqual(setting('other'))
    await other.close()
  })

  it('is a conflict when the item was there before', async () => {
    await store.create('setting', { id: 'c' }, setting('one'))
    await expect(store.create('setting', { id: 'c' }, setting('two'))).rejects.toBeInstanceOf(
      RevisionConflictError,
    )
  })
})
