import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEmbeddedConfig } from '../../../store/embedded/config.ts'
import { TestDynamoDb } from '../../fixtures/dynamodb.ts'

const table = 'rehost-test'
let endpoint: TestDynamoDb

beforeAll(async () => {
  endpoint = await TestDynamoDb.start()
  const store = endpoint.store(table)
  await store.initialise()
  await store.close()
})

afterAll(() => endpoint.stop())

/** The tables, asked for by the real client with `accessKeyId`. */
async function tablesSeenBy(accessKeyId: string): Promise<string[] | undefined> {
  const client = new DynamoDBClient({
    endpoint: endpoint.url,
    region: 'local',
    credentials: { accessKeyId, secretAccessKey: 'anything' },
  })
  try {
    return (await client.send(new ListTablesCommand({}))).TableNames
  } finally {
    client.destroy()
  }
}

/** What a program that knows DynamoDB's protocol and not the key sends. */
const deleteTable = (headers: Record<string, string>) =>
  fetch(endpoint.url, {
    method: 'POST',
    headers: {
      'x-amz-target': 'DynamoDB_20120810.DeleteTable',
      'x-amz-date': '20260301T120000Z',
      ...headers,
    },
    body: JSON.stringify({ TableName: table }),
  })

describe('requireAccessKey()', () => {
  it('lets the client with the key in, and tells the one with another what is wrong', async () => {
    expect(await tablesSeenBy(TestDynamoDb.accessKeyId)).toEqual([table])
    await expect(tablesSeenBy('another')).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
      message: 'The access key is not the one that this store was started with',
      $metadata: { attempts: 1 },
    })
  })

  it.each([
    ['no key', ''],
    ['an empty one', 'AWS4-HMAC-SHA256 Credential=/20260301/local/dynamodb/aws4_request'],
    ['another one', 'AWS4-HMAC-SHA256 Credential=local/20260301/local/dynamodb/aws4_request'],
    ['the key in the wrong place', `AWS4-HMAC-SHA256 Credential=a/b, Signature=${TestDynamoDb.accessKeyId}/`],
    ['the beginning of the key', `AWS4-HMAC-SHA256 Credential=${TestDynamoDb.accessKeyId.slice(0, -1)}/a`],
  ])('refuses a call with %s, and nothing is done', async (_, credential) => {
    const rest = ', SignedHeaders=host, Signature=a'
    const response = await deleteTable({
      'content-type': 'application/x-amz-json-1.0',
      ...(credential === '' ? {} : { authorization: credential + rest }),
    })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('UnrecognizedClientException')
    expect(await tablesSeenBy(TestDynamoDb.accessKeyId)).toEqual([table])
  })

  it('gives pages of other sites no leave to ask, nor an answer to what they may send unasked', async () => {
    const origin = 'https://elsewhere.example'
    const leave = await fetch(endpoint.url, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-amz-target',
      },
    })
    const unasked = await deleteTable({ origin, 'content-type': 'text/plain' })
    for (const response of [leave, unasked]) {
      expect(response.status).toBe(400)
      expect(response.headers.get('access-control-allow-origin')).toBeNull()
    }
    expect(await tablesSeenBy(TestDynamoDb.accessKeyId)).toEqual([table])
  })

  it('is not to be left out', () => {
    expect(() => readEmbeddedConfig({})).toThrow(/REHOST_STORE_ACCESS_KEY_ID/)
    expect(() => readEmbeddedConfig({ REHOST_STORE_ACCESS_KEY_ID: '' })).toThrow(/REHOST_STORE_ACCESS_KEY_ID/)
  })
})
