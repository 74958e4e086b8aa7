import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDynamoStore } from '../../../store/dynamodb/factory.ts'
import type { Store } from '../../../store/store.ts'

/** Breaks answers off in their middle, as many as a test wants. */
let server: Server
let store: Store
let answersToBreak = 0
let requests = 0

beforeEach(async () => {
  requests = 0
  server = createServer((_request, response) => {
    requests++
    if (answersToBreak === 0) return response.end('{}')
    answersToBreak--
    response.writeHead(200, { 'Content-Length': 1000 })
    return response.write('{"Item":', () => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  store = createDynamoStore({
    region: 'here',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    table: 'rehost',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  })
})

afterEach(async () => {
  await store.close()
  server.closeAllConnections()
  server.close()
})

it('an answer that breaks off in its middle is asked for again', async () => {
  answersToBreak = 1
  expect(await store.get('setting', { id: 'a' })).toBeUndefined()
  expect(requests).toBe(2)
})

it('a store whose answers all break off cannot be reached', async () => {
  answersToBreak = Infinity
  await expect(store.get('setting', { id: 'a' })).rejects.toThrow(
    'Cannot reach the store; see whether it runs, and where AWS_ENDPOINT_URL_DYNAMODB says',
  )
  expect(requests).toBe(5)
})
