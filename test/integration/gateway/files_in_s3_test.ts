import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DescribeSourceServersCommand,
  InitializeServiceCommand,
  ListImportErrorsCommand,
  MgnClient,
  StartExportCommand,
  StartImportCommand,
} from '@aws-sdk/client-mgn'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import S3rver from 's3rver'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDynamoDb } from '../../fixtures/dynamodb.ts'
import { GatewayProcess } from '../../fixtures/gateway_process.ts'

const preset = { REHOST_ACCESS_KEY_ID: 'AKIDEXAMPLE', REHOST_SECRET_ACCESS_KEY: 'a secret of the operator' }
/** The only key that s3rver knows. */
const s3Key = 'S3RVER'

let folder: string
let server: S3rver
let gateway: GatewayProcess
let s3: S3Client
let mgn: MgnClient

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-s3-'))
  const configureBuckets: { name: string; configs: [] }[] = [{ name: 'plans', configs: [] }]
  server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory: folder, configureBuckets })
  const endpoint = `http://127.0.0.1:${(await server.run()).port}`
  gateway = await GatewayProcess.start({
    ...preset,
    REHOST_S3_ENDPOINT: endpoint,
    AWS_ACCESS_KEY_ID: s3Key,
    AWS_SECRET_ACCESS_KEY: s3Key,
    // As the supervisor does for its own store.
    REHOST_STORE_ACCESS_KEY_ID: TestDynamoDb.accessKeyId,
    REHOST_STORE_SECRET_ACCESS_KEY: 'test',
  })
  s3 = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: s3Key, secretAccessKey: s3Key },
  })
  mgn = new MgnClient({
    endpoint: gateway.url,
    region: 'eu-test-1',
    credentials: {
      accessKeyId: preset.REHOST_ACCESS_KEY_ID,
      secretAccessKey: preset.REHOST_SECRET_ACCESS_KEY,
    },
  })
  await mgn.send(new InitializeServiceCommand({}))
})

afterAll(async () => {
  mgn.destroy()
  s3.destroy()
  await gateway.stop()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

describe('a gateway whose files are in S3', () => {
  const place = { s3Bucket: 'plans', s3Key: 'plan 1.csv' }

  it('imports from there and exports to there, with credentials that its store does not know', async () => {
    const Body = 'mgn:app:name,mgn:server:user-provided-id\nshop,shop-1\n'
    await s3.send(new PutObjectCommand({ Bucket: 'plans', Key: place.s3Key, Body }))
    const { importTask } = await mgn.send(new StartImportCommand({ s3BucketSource: place }))
    expect(importTask).toMatchObject({ status: 'SUCCEEDED', summary: { servers: { createdCount: 1 } } })
    const { items = [] } = await mgn.send(new DescribeSourceServersCommand({}))
    expect(items).toMatchObject([{ userProvidedID: 'shop-1', lifeCycle: { state: 'PENDING_INSTALLATION' } }])
    const { exportTask } = await mgn.send(new StartExportCommand({ s3Bucket: 'plans', s3Key: 'out.csv' }))
    expect(exportTask?.status).toBe('SUCCEEDED')
    const found = await s3.send(new GetObjectCommand({ Bucket: 'plans', Key: 'out.csv' }))
    expect(await found.Body?.transformToString()).toContain(
      `,shop,,${items[0]?.sourceServerID},shop-1,unknown`,
    )
    expect(found.ContentType).toBe('text/csv; charset=utf-8')
    expect(gateway.output).not.toContain(s3Key)
  })

  it('says of a bucket that is not there where it was looked for', async () => {
    const source = { ...place, s3Bucket: 'elsewhere' }
    const { importTask } = await mgn.send(new StartImportCommand({ s3BucketSource: source }))
    expect(importTask?.status).toBe('FAILED')
    const { items = [] } = await mgn.send(new ListImportErrorsCommand({ importID: importTask?.importID }))
    expect(items.map(({ errorData }) => errorData?.rawError)).toEqual([
      expect.stringMatching(/^There is no bucket elsewhere at http:\/\/127\.0\.0\.1:\d+$/),
    ])
  })
})
