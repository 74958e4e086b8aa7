import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, it } from 'vitest'
import { errorMessage } from '../../domain/errors.ts'
import { createDynamoStore } from '../../store/dynamodb/factory.ts'
import { MemoryStore } from '../../store/memory/store.ts'
import type { Store } from '../../store/store.ts'
import { TestDynamoDb } from '../fixtures/dynamodb.ts'
import { sampleToken, storeContract } from './store_contract.ts'

storeContract(
  'memory',
  () => Promise.resolve(new MemoryStore()),
  () => Promise.resolve(),
)

let endpoint: TestDynamoDb
let store: Store
storeContract(
  'DynamoDB',
  async () => {
    endpoint = await TestDynamoDb.start()
    store = endpoint.store()
    return store
  },
  async () => {
    await store.close()
    await endpoint.stop()
  },
)

describe('DynamoDB store on the embedded endpoint', () => {
  let crashing: TestDynamoDb
  afterAll(() => crashing.stop())

  it('has every acknowledged write after the endpoint was killed', async () => {
    crashing = await TestDynamoDb.start()
    const before = crashing.store()
    await before.initialise()
    for (let index = 0; index < 50; index++) {
      await before.create('token', { id: `tok-${index}` }, sampleToken(`tok-${index}`, index))
    }
    await before.close()
    await crashing.kill()
    await crashing.begin()
    const after = crashing.store()
    await after.initialise()
    const { items } = await after.list('token', { limit: 1000 })
    expect(items.map(({ value }) => value.usesLeft).sort((left, right) => left - right)).toEqual(
      Array.from({ length: 50 }, (_, index) => index),
    )
    await after.close()
  })

  it.each([
    ['nothing listens', { region: 'here', endpoint: 'http://127.0.0.1:1' }, 'ECONNREFUSED'],
    ['what answers is no store', { region: 'here', endpoint: 'ANOTHER' }, 'is not valid JSON'],
  ])('names its table and the variables when %s', async (_when, place, why) => {
    const another = createServer((_request, response) => response.writeHead(404).end('<h1>Hello</h1>'))
    another.listen(0, '127.0.0.1')
    await once(another, 'listening')
    const { port } = another.address() as AddressInfo
    const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
    const endpointUrl = place.endpoint === 'ANOTHER' ? `http://127.0.0.1:${port}` : place.endpoint
    const lost = createDynamoStore({ ...place, endpoint: endpointUrl, table: 'rehost', credentials })
    const failure = await lost.initialise().then(
      () => 'It has opened its table',
      (error: unknown) => errorMessage(error),
    )
    expect(failure).toContain(
      'Cannot use table rehost of the store, which is DynamoDB; AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB',
    )
    expect(failure).toContain(why)
    await lost.close()
    another.close()
  })

  it('refuses an item that DynamoDB could not hold', async () => {
    const own = crashing.store()
    const huge = { name: 'settings', value: 'x'.repeat(400_000) }
    await expect(own.create('setting', { id: 'settings' }, huge)).rejects.toThrow(
      /more than an item may have/,
    )
    await own.close()
  })
})
