import {
  ConflictException,
  CreateApplicationCommand,
  CreateWaveCommand,
  ListApplicationsCommand,
  ListExportErrorsCommand,
  ListExportsCommand,
  ListImportErrorsCommand,
  ListImportsCommand,
  ListWavesCommand,
  ResourceNotFoundException,
  StartExportCommand,
  StartImportCommand,
  TagResourceCommand,
  ValidationException,
} from '@aws-sdk/client-mgn'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readCsv, writeCsv } from '../../../../gateway/mgn/inventory_csv.ts'
import { putServer, serverOf } from '../callers.ts'
import type { MgnService } from './mgn_service.ts'
import { mgnService, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService
let folder: string

beforeEach(async () => {
  service = await mgnService()
  folder = join(service.gateway.folder, 'files')
})

afterEach(() => service.close())

async function importOf(text: string, s3Key = 'plan.csv') {
  await mkdir(join(folder, 'plans'), { recursive: true })
  await writeFile(join(folder, 'plans', s3Key), text)
  const { importTask } = await service.client.send(
    new StartImportCommand({ s3BucketSource: { s3Bucket: 'plans', s3Key } }),
  )
  return importTask
}

async function errorsOf(importID: string | undefined) {
  const { items = [] } = await service.client.send(new ListImportErrorsCommand({ importID }))
  return items.map(({ errorType, errorData }) => [errorType, errorData?.rowNumber, errorData?.rawError])
}

async function exported(s3Key = 'out/inventory.csv'): Promise<string> {
  const { exportTask } = await service.client.send(new StartExportCommand({ s3Bucket: 'plans', s3Key }))
  expect(exportTask).toMatchObject({ status: 'SUCCEEDED', progressPercentage: 100 })
  return readFile(join(folder, 'plans', s3Key), 'utf8')
}

describe('an import', () => {
  it('makes waves and applications, puts servers into them, and once more changes nothing', async () => {
    const { sourceServerId } = await readyServer(service)
    await putServer(service.gateway, sourceServerId, (server) => ({ ...server, userProvidedId: 'shop-1' }))
    const text = [
      'mgn:wave:name,mgn:wave:tag:when,mgn:app:name,mgn:app:description,mgn:server:user-provided-id,mgn:server:tag:owner,mgn:launch:instance-type',
      'first,may,shop,"all, of ""it""",shop-1,anna,c5.large',
      'second,,empty,,,,',
    ].join('\r\n')
    const task = await importOf(text)
    expect(task).toMatchObject({
      status: 'SUCCEEDED',
      summary: {
        waves: { createdCount: 2, modifiedCount: 0 },
        applications: { createdCount: 2, modifiedCount: 0 },
        servers: { createdCount: 0, modifiedCount: 1 },
      },
    })
    const { items: applications = [] } = await service.client.send(new ListApplicationsCommand({}))
    const shop = applications.find(({ name }) => name === 'shop')
    expect(shop).toMatchObject({
      description: 'all, of "it"',
      applicationAggregatedStatus: { totalSourceServers: 1 },
    })
    const { items: waves = [] } = await service.client.send(new ListWavesCommand({}))
    const first = waves.find(({ name }) => name === 'first')
    expect(first).toMatchObject({ tags: { when: 'may' }, waveAggregatedStatus: { totalApplications: 1 } })
    expect(shop?.waveID).toBe(first?.waveID)
    expect(await serverOf(service.gateway, sourceServerId)).toMatchObject({
      applicationId: shop?.applicationID,
      tags: { owner: 'anna' },
    })
    expect((await importOf(text))?.summary).toEqual({
      waves: { createdCount: 0, modifiedCount: 0 },
      applications: { createdCount: 0, modifiedCount: 0 },
      servers: { createdCount: 0, modifiedCount: 0 },
    })
  })

  it('of a file with a wrong row changes nothing, and names row and reason', async () => {
    const task = await importOf(
      'mgn:account-id,mgn:wave:name,mgn:app:name,mgn:server:id\n' +
        '123456789012,first,shop,\n' +
        '999999999999,,,\n' +
        ',first,,s-00000000000000001\n',
    )
    expect(task?.status).toBe('FAILED')
    expect(await errorsOf(task?.importID)).toEqual([
      ['VALIDATION_ERROR', 3, 'account 999999999999 is not this one, 123456789012'],
      ['VALIDATION_ERROR', 4, expect.stringContaining('mgn:app:name is missing')],
      [
        'VALIDATION_ERROR',
        4,
        expect.stringContaining('there is no server s-00000000000000001: install its agent'),
      ],
    ])
    expect((await service.client.send(new ListWavesCommand({}))).items).toEqual([])
  })

  it.each([
    ['no CSV', 'mgn:app:name\n"a', /no CSV in UTF-8/],
    ['nothing', '', /is empty/],
    ['columns that nobody knows', 'mgn:app:name,hello\na,b', /There is no column hello/],
    ['a column twice', 'mgn:app:name,mgn:app:name\na,b', /is there twice/],
    ['rows of another length', 'mgn:app:name,mgn:wave:name\na', /no CSV/],
  ])('of %s fails with the reason', async (_name, text, reason) => {
    const task = await importOf(text)
    expect(task?.status).toBe('FAILED')
    expect(await errorsOf(task?.importID)).toEqual([
      ['VALIDATION_ERROR', undefined, expect.stringMatching(reason)],
    ])
  })

  it('of a file that is not there says where it is looked for', async () => {
    const { importTask } = await service.client.send(
      new StartImportCommand({ s3BucketSource: { s3Bucket: 'plans', s3Key: 'none.csv' } }),
    )
    expect(await errorsOf(importTask?.importID)).toEqual([
      [
        'VALIDATION_ERROR',
        undefined,
        `There is no file none.csv in bucket plans: put it at ${join(folder, 'plans/none.csv')}`,
      ],
    ])
  })

  it.each(['../../secret.csv', 'a/../../../x.csv', '/../x.csv'])(
    'reads nothing outside its bucket: %s',
    async (s3Key) => {
      const { importTask } = await service.client.send(
        new StartImportCommand({ s3BucketSource: { s3Bucket: 'plans', s3Key } }),
      )
      expect((await errorsOf(importTask?.importID))[0]?.[2]).toMatch(
        /names no file of a bucket|There is no file/,
      )
      expect(importTask?.status).toBe('FAILED')
    },
  )

  it('is the same one for the same client token', async () => {
    await importOf('mgn:app:name\nshop')
    const start = (s3Key: string) =>
      service.client.send(
        new StartImportCommand({ clientToken: 'once', s3BucketSource: { s3Bucket: 'plans', s3Key } }),
      )
    const one = (await start('plan.csv')).importTask
    expect((await start('plan.csv')).importTask?.importID).toBe(one?.importID)
    expect(await refusalOf(start('other.csv'))).toBeInstanceOf(ConflictException)
    const { items } = await service.client.send(
      new ListImportsCommand({ filters: { importIDs: [one?.importID ?? ''] } }),
    )
    expect(items).toMatchObject([{ importID: one?.importID, s3BucketSource: { s3Bucket: 'plans' } }])
  })

  it('needs a key that ends in .csv, and errors are of imports that there are', async () => {
    const wrong = new StartImportCommand({ s3BucketSource: { s3Bucket: 'plans', s3Key: 'a.txt' } })
    expect(await refusalOf(service.client.send(wrong))).toBeInstanceOf(ValidationException)
    const none = new ListImportErrorsCommand({ importID: 'import-00000000000000001' })
    expect(await refusalOf(service.client.send(none))).toBeInstanceOf(ResourceNotFoundException)
  })
})

describe('an export', () => {
  it('has a row for each server, and for what has none, and can be imported again', async () => {
    const { sourceServerId } = await readyServer(service)
    await service.client.send(new CreateWaveCommand({ name: 'later', description: 'not yet' }))
    const resourceArn = `arn:aws:mgn:us-east-1:123456789012:source-server/${sourceServerId}`
    await service.client.send(
      new TagResourceCommand({ resourceArn, tags: { note: '=SUM(A1)', 'a,b': 'x\ny' } }),
    )
    const { applicationID = '' } = await service.client.send(new CreateApplicationCommand({ name: '+shop' }))
    const text = await exported()
    expect(readCsv(Buffer.from(text))).toEqual([
      {
        'mgn:account-id': '123456789012',
        'mgn:region': 'us-east-1',
        'mgn:server:id': sourceServerId,
        'mgn:server:platform': 'linux',
        'mgn:server:tag:Name': 'web-1',
        'mgn:server:tag:note': '=SUM(A1)',
        'mgn:server:tag:a,b': 'x\ny',
      },
      { 'mgn:account-id': '123456789012', 'mgn:region': 'us-east-1', 'mgn:app:name': '+shop' },
      {
        'mgn:account-id': '123456789012',
        'mgn:region': 'us-east-1',
        'mgn:wave:name': 'later',
        'mgn:wave:description': 'not yet',
      },
    ])
    // A spreadsheet takes none of the cells for a formula.
    expect(text).toContain("'=SUM(A1)")
    expect(text).toContain("'+shop")
    expect((await importOf(text))?.summary).toMatchObject({
      applications: { createdCount: 0, modifiedCount: 0 },
      servers: { modifiedCount: 0 },
    })
    expect(applicationID).toMatch(/^app-/)
    const { items = [] } = await service.client.send(new ListExportsCommand({}))
    expect(items).toMatchObject([
      { status: 'SUCCEEDED', summary: { serversCount: 1, applicationsCount: 1, wavesCount: 1 } },
    ])
    const { exportID } = items[0] ?? {}
    expect((await service.client.send(new ListExportErrorsCommand({ exportID }))).items).toEqual([])
    expect(await readdir(join(folder, 'plans/out'))).toEqual(['inventory.csv'])
  })

  it('that cannot be written says why', async () => {
    await mkdir(join(folder, 'plans'), { recursive: true })
    await writeFile(join(folder, 'plans', 'out'), 'a file where a folder should be')
    const { exportTask } = await service.client.send(
      new StartExportCommand({ s3Bucket: 'plans', s3Key: 'out/inventory.csv' }),
    )
    expect(exportTask?.status).toBe('FAILED')
    const { items } = await service.client.send(
      new ListExportErrorsCommand({ exportID: exportTask?.exportID }),
    )
    expect(items?.[0]?.errorData?.rawError).toMatch(/EEXIST|ENOTDIR/)
  })
})

it('a cell comes back as it was, whatever it begins with', () => {
  const cells = ['=1', "'=1", '+1', '-1', '@a', "'a", '\t=1', 'a=1', "''"]
  const rows = cells.map((cell) => ({ 'mgn:app:description': cell }))
  expect(readCsv(writeCsv(rows))).toEqual(rows)
})
