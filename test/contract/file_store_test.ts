import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { RequestListener, Server } from 'node:http'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import S3rver from 's3rver'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FolderFiles } from '../../gateway/file_store.ts'
import { readGatewayConfig } from '../../gateway/config.ts'
import { S3Files } from '../../gateway/s3_files.ts'
import { fileContract } from './file_contract.ts'

const region = 'eu-test-1'
const credentials = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' }
const before = Object.fromEntries(Object.keys(credentials).map((name) => [name, process.env[name]]))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-files-'))
  Object.assign(process.env, credentials)
})

afterAll(async () => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  await rm(folder, { recursive: true, force: true })
})

fileContract(
  'a folder',
  async () => {
    const bucket = join(folder, 'own', 'plans')
    await mkdir(bucket, { recursive: true })
    return {
      files: new FolderFiles(join(folder, 'own'), '123456789012'),
      keys: async () => {
        const found = await readdir(bucket, { recursive: true, withFileTypes: true })
        return found
          .filter((one) => one.isFile())
          .map(({ parentPath, name }) => join(parentPath, name).slice(bucket.length + 1))
      },
      put: (key, bytes) => writeFile(join(bucket, key), bytes),
    }
  },
  () => Promise.resolve(),
)

let server: S3rver
let client: S3Client
let files: S3Files
let endpoint: string
fileContract(
  'S3',
  async () => {
    const directory = join(folder, 's3')
    await mkdir(directory)
    server = new S3rver({
      address: '127.0.0.1',
      port: 0,
      silent: true,
      directory,
      configureBuckets: [{ name: 'plans', configs: [] }],
    })
    endpoint = `http://127.0.0.1:${(await server.run()).port}`
    client = new S3Client({ endpoint, region, forcePathStyle: true })
    files = new S3Files({ endpoint, region, isPathStyle: true })
    return {
      files,
      keys: async () => {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'plans' }))
        return Contents.map(({ Key = '' }) => Key)
      },
      put: async (Key, Body) =>
        void (await client.send(new PutObjectCommand({ Bucket: 'plans', Key, Body }))),
    }
  },
  async () => {
    files.close()
    client.destroy()
    await server.close()
  },
)

describe('a folder', () => {
  const files = () => new FolderFiles(join(folder, 'drafts'), '123456789012')

  it('keeps nothing of a file that could not be put in its place', async () => {
    await mkdir(join(folder, 'drafts', 'plans', 'taken.csv'), { recursive: true })
    const write = files().write({ bucket: 'plans', key: 'taken.csv' }, Buffer.from('text'))
    await expect(write).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/)
    expect(await readdir(join(folder, 'drafts', 'plans'))).toEqual(['taken.csv'])
  })

  it('has no bucket of another account', async () => {
    const place = { bucket: 'plans', key: 'plan.csv', bucketOwner: '999999999999' }
    await expect(files().read(place)).rejects.toThrow(
      'Bucket plans is a folder of account 123456789012, not of 999999999999',
    )
  })
})

describe('a store of S3 that refuses', () => {
  let stub: Server
  let answer: RequestListener
  let asked: { url: string; owner: string | undefined; authorization: string }[]
  let refusing: S3Files

  beforeEach(async () => {
    asked = []
    stub = createServer((request, response) => {
      const { url = '', headers } = request
      const { authorization = '' } = headers
      asked.push({ url, owner: headers['x-amz-expected-bucket-owner']?.toString(), authorization })
      answer(request, response)
    }).listen(0, '127.0.0.1')
    await once(stub, 'listening')
    const { port } = stub.address() as AddressInfo
    refusing = new S3Files({ endpoint: `http://127.0.0.1:${port}`, region, isPathStyle: true }, 1500)
  })

  afterEach(async () => {
    refusing.close()
    stub.closeAllConnections()
    stub.close()
    await once(stub, 'close')
  })

  const refuse =
    (status: number, code: string): RequestListener =>
    (request, response) => {
      request.resume()
      response.writeHead(status, { 'content-type': 'application/xml' })
      response.end(`<Error><Code>${code}</Code><Message>in its own words</Message></Error>`)
    }
  const place = { bucket: 'plans', key: 'a b.csv', bucketOwner: '123456789012' }
  const refusals = async () =>
    Promise.all(
      [refusing.read(place), refusing.write(place, Buffer.from('text'))].map((call) =>
        call.then(
          () => 'none',
          (error: Error) => error.message,
        ),
      ),
    )

  it('is asked for the bucket of the owner that the caller names, signed for its region', async () => {
    answer = refuse(403, 'AccessDenied')
    await refusals()
    expect(asked).toHaveLength(2)
    for (const { url, owner, authorization } of asked) {
      expect(url).toMatch(/^\/plans\/a%20b\.csv\?x-id=/)
      expect(owner).toBe('123456789012')
      expect(authorization).toContain(`/${region}/s3/aws4_request`)
    }
  })

  it.each([
    [
      403,
      'AccessDenied',
      /Cannot (read|write) file a b\.csv of bucket plans.*AccessDenied; let the credentials/,
    ],
    [403, 'SignatureDoesNotMatch', /SignatureDoesNotMatch; check the credentials/],
    [301, 'PermanentRedirect', /set REHOST_S3_REGION/],
    [404, 'NoSuchBucket', /There is no bucket plans at http:/],
    [400, 'Odd', /Cannot (read|write) file a b\.csv of bucket plans at http.*\(Odd\)/],
  ])('with %i %s is told of in words', async (status, code, words) => {
    answer = refuse(status, code)
    for (const message of await refusals()) {
      expect(message).toMatch(words)
      expect(message).not.toContain('S3RVER')
    }
  })

  it('is asked again when it was only busy', async () => {
    let isBusy = true
    answer = (request, response) => {
      if (isBusy) {
        isBusy = false
        return refuse(503, 'SlowDown')(request, response)
      }
      response.end('text')
    }
    expect(Buffer.from(await refusing.read(place)).toString()).toBe('text')
  })

  it.each<[string, RequestListener]>([
    ['says nothing', () => undefined],
    [
      'stops in the middle of a file',
      (request, response) => {
        if (request.method === 'PUT') return
        response.writeHead(200, { 'content-length': '100' })
        response.write('half')
      },
    ],
  ])('and %s is not waited for longer than a moment', async (_name, silent) => {
    answer = silent
    expect(await refusals()).toEqual([
      expect.stringMatching(/Cannot read file a b\.csv.+no answer within 1\.5 s/),
      expect.stringMatching(/Cannot write file a b\.csv.+no answer within 1\.5 s/),
    ])
  })

  it('does not pass off half a file as a whole one', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    }
    await expect(refusing.read(place)).rejects.toThrow(/Cannot read file/)
  })

  it('that nobody answers for is named', async () => {
    const nobody = new S3Files({ endpoint: 'http://127.0.0.1:1', region, isPathStyle: true })
    await expect(nobody.read(place)).rejects.toThrow(
      'Cannot read file a b.csv of bucket plans at http://127.0.0.1:1',
    )
    nobody.close()
  })
})

describe('the settings', () => {
  const s3Of = (environment: Record<string, string>) =>
    readGatewayConfig({ REDIS_URL: 'redis://localhost', ...environment }, '/').s3

  it.each([
    [{}, undefined],
    [{ REHOST_FILE_STORE: 'folder', REHOST_S3_ENDPOINT: 'http://a:9000' }, undefined],
    [{ REHOST_FILE_STORE: 's3' }, { region: 'us-east-1', isPathStyle: false }],
    [
      { REHOST_FILE_STORE: 's3', AWS_REGION: 'eu-west-1' },
      { region: 'eu-west-1', isPathStyle: false },
    ],
    [
      { REHOST_S3_ENDPOINT: 'http://a:9000', AWS_REGION: 'eu-west-1', REHOST_S3_REGION: 'garage' },
      { region: 'garage', endpoint: 'http://a:9000', isPathStyle: true },
    ],
    [
      { REHOST_S3_ENDPOINT: 'https://s3.a', REHOST_S3_PATH_STYLE: 'false' },
      { region: 'us-east-1', endpoint: 'https://s3.a', isPathStyle: false },
    ],
  ])('%j', (environment, expected) => {
    expect(s3Of(environment)).toEqual(expected)
  })

  it.each([
    [{ REHOST_S3_ENDPOINT: 'http://key:secret@a' }, /REHOST_S3_ENDPOINT: credentials come from/],
    [{ REHOST_S3_ENDPOINT: 'ftp://a' }, /REHOST_S3_ENDPOINT: http/],
    [{ REHOST_FILE_STORE: 'tape' }, /REHOST_FILE_STORE/],
    [{ REHOST_S3_REGION: 'a b' }, /REHOST_S3_REGION: a region/],
  ])('%j are refused by name', (environment, words) => {
    expect(() => s3Of(environment)).toThrow(words)
  })
})
