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
  StartExportCommand,
  StartImportCommand,
  TagResourceCommand,
  ValidationException,
} from '@aws-sdk/client-mgn'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../../../domain/ids.ts'
import type { FilePlace } from '../../../../gateway/file_store.ts'
import { LongCalls, mostLongCalls } from '../../../../gateway/long_calls.ts'
import { settleTransfers } from '../../../../gateway/mgn/transfer_runs.ts'
import { readCsv, writeCsv } from '../../../../gateway/mgn/inventory_csv.ts'
import { until } from '../../../fixtures/waiting.ts'
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

async function importOf(text: string | Buffer, s3Key = 'plan.csv') {
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
      [
        'VALIDATION_ERROR',
        3,
        'account 999999999999 is not this one, 123456789012: leave mgn:account-id empty to import the row here',
      ],
      ['VALIDATION_ERROR', 4, expect.stringContaining('mgn:app:name is missing')],
      [
        'VALIDATION_ERROR',
        4,
        expect.stringContaining('there is no server s-00000000000000001: leave mgn:server:id out'),
      ],
    ])
    expect((await service.client.send(new ListWavesCommand({}))).items).toEqual([])
  })

  it('of rows that contradict each other about one server changes nothing, and names the later ones', async () => {
    const { sourceServerId: id } = await readyServer(service)
    await putServer(service.gateway, id, (server) => ({ ...server, userProvidedId: 'shop-1' }))
    const before = await service.gateway.store.list('server')
    const rows = [
      'mgn:server:id,mgn:server:user-provided-id,mgn:server:platform,mgn:app:name,mgn:server:tag:owner',
      ',dup,linux,shop,anna',
      ',dup,windows,shop,ben',
      ',dup,Linux,shop,',
      `${id},,,shop,anna`,
      ',shop-1,,other,anna',
      `${id},shop-1,linux,,ben`,
    ]
    const task = await importOf(rows.join('\n'))
    expect(task?.status).toBe('FAILED')
    const words = 'and this row are the same server,'
    expect(await errorsOf(task?.importID)).toEqual([
      [
        'VALIDATION_ERROR',
        3,
        `row 2 ${words} dup, and say different things in mgn:server:platform, mgn:server:tag:owner`,
      ],
      ['VALIDATION_ERROR', 6, `row 5 ${words} shop-1, and say different things in mgn:app:name`],
      ['VALIDATION_ERROR', 7, `row 5 ${words} ${id}, and say different things in mgn:server:tag:owner`],
    ])
    expect(await service.gateway.store.list('server')).toEqual(before)
    expect((await service.client.send(new ListApplicationsCommand({}))).items).toEqual([])
  })

  it('takes rows that are one server and do not contradict each other', async () => {
    const rows = [
      'mgn:server:user-provided-id,mgn:server:platform,mgn:server:tag:owner',
      'dup,linux,',
      'dup,linux,',
      'dup,LINUX,anna',
      'dup,,anna',
    ]
    expect(await importOf(rows.join('\n'))).toMatchObject({
      status: 'SUCCEEDED',
      summary: { servers: { createdCount: 1 } },
    })
    const { items } = await service.gateway.store.list('server')
    expect(items.map(({ value }) => value)).toMatchObject([
      { userProvidedId: 'dup', tags: { owner: 'anna' }, sourceProperties: { os: { family: 'linux' } } },
    ])
  })

  it('of another platform than the agent of a server reports is refused', async () => {
    const { sourceServerId: id } = await readyServer(service)
    const rows = (...platforms: string[]) =>
      ['mgn:server:id,mgn:server:platform', ...platforms.map((platform) => `${id},${platform}`)].join('\n')
    const task = await importOf(rows('windows'))
    expect(task?.status).toBe('FAILED')
    expect(await errorsOf(task?.importID)).toEqual([
      [
        'VALIDATION_ERROR',
        2,
        `the platform of server ${id} is what its agent reports, linux, not windows: leave mgn:server:platform empty or as it is`,
      ],
    ])
    expect(await importOf(rows('Linux', ''))).toMatchObject({
      status: 'SUCCEEDED',
      summary: { servers: { createdCount: 0, modifiedCount: 0 } },
    })
  })

  it('of a row for another region is refused, whatever region the caller signs for', async () => {
    const rows = (...regions: string[]) =>
      ['mgn:region,mgn:app:name', ...regions.map((region, index) => `${region},app-${index}`)].join('\n')
    const task = await importOf(rows('us-east-1', 'eu-west-1', ''))
    expect(task).toMatchObject({ status: 'FAILED', summary: { applications: { createdCount: 0 } } })
    expect(await errorsOf(task?.importID)).toEqual([
      [
        'VALIDATION_ERROR',
        3,
        'region eu-west-1 is not this one, us-east-1: leave mgn:region empty to import the row here',
      ],
    ])
    expect(await importOf(rows('us-east-1', ''))).toMatchObject({
      status: 'SUCCEEDED',
      summary: { applications: { createdCount: 2 } },
    })
  })

  it.each([
    // Said once, with the reason.
    ['no CSV', 'mgn:app:name\n"a', /^The file is no CSV in UTF-8: Quote Not Closed: [^:]* at line 2$/],
    [
      'no UTF-8',
      Buffer.from('mgn:app:name\n\xe4', 'latin1'),
      /^The file is no CSV in UTF-8: it is in another encoding/,
    ],
    ['nothing', '', /is empty/],
    [
      'a column that nobody knows',
      'mgn:app:name,hello\na,b',
      /^The column "hello" is not known: leave it out$/,
    ],
    [
      'columns that nobody knows',
      'mgn:app:name,a,b,c,d,e,f\n1,2,3,4,5,6,7',
      /^The columns "a", "b", "c", "d", "e" and 1 more are not known: leave them out$/,
    ],
    ['a column twice', 'mgn:app:name,mgn:app:name\na,b', /is there twice/],
    [
      'other separators',
      'mgn:app:name;mgn:wave:name\na;b',
      /^The column "mgn:app:name;mgn:wave:name" is not known: separate columns by commas$/,
    ],
  ])('of %s fails with the reason', async (_name, text, reason) => {
    const task = await importOf(text)
    expect(task?.status).toBe('FAILED')
    expect(await errorsOf(task?.importID)).toEqual([
      ['VALIDATION_ERROR', undefined, expect.stringMatching(reason)],
    ])
  })

  it('names every row that has more or fewer cells than the header, by its line too', async () => {
    const lines = [
      'mgn:wave:name,mgn:app:name,mgn:app:description',
      'first;shop;all of it',
      'first,shop,all',
      '',
      '"first",shop,all, of it',
      'first,"two\nlines"',
    ]
    const task = await importOf(lines.join('\r\n'))
    expect(task).toMatchObject({ status: 'FAILED', summary: { applications: { createdCount: 0 } } })
    expect(await errorsOf(task?.importID)).toEqual([
      ['VALIDATION_ERROR', 2, 'Line 2 has 1 cell, the header 3: are they separated by commas?'],
      ['VALIDATION_ERROR', 4, 'Line 5 has 4 cells, the header 3: is a cell with a comma in double quotes?'],
      ['VALIDATION_ERROR', 5, 'Line 6 has 2 cells, the header 3: are they separated by commas?'],
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
    expect(await refusalOf(service.client.send(none))).toMatchObject({
      name: 'ValidationException',
      fieldList: [{ name: 'importID' }],
    })
  })
})

describe('a transfer', () => {
  const csv = Buffer.from('mgn:app:name\none\ntwo\nthree\n')
  const plan = { s3Bucket: 'plans', s3Key: 'plan.csv' }
  const begun = {
    bucket: 'plans',
    key: 'plan.csv',
    status: 'STARTED' as const,
    createdAt: '2026-03-01T12:00:00.000Z',
    tags: { a: 'b' },
    errors: [],
  }
  const importOf = (clientToken: string) =>
    service.client.send(new StartImportCommand({ clientToken, s3BucketSource: plan }))
  const firstImport = async () => (await service.client.send(new ListImportsCommand({}))).items?.[0]

  /** Time passes, for the client's clock too. */
  const pass = async (milliseconds: number) => {
    service.gateway.pass(milliseconds)
    await service.become('admin')
  }

  /** Has `during` run before each application is made. */
  const beforeEachRow = (during: () => Promise<unknown>) => {
    const { store } = service.gateway
    const create = store.create.bind(store)
    store.create = async (kind, key, value) => {
      if (kind === 'application') await during()
      return create(kind, key, value)
    }
  }

  it('whose gateway died is ended by the next that sees it, and says what to do', async () => {
    const { store } = service.gateway
    const [importId, exportId] = [newId('import'), newId('export')]
    const none = { servers: 0, applications: 0, waves: 0 }
    const counts = { created: none, modified: none }
    await store.create(
      'transfer',
      { id: importId },
      { ...begun, ...counts, transferId: importId, kind: 'IMPORT' },
    )
    await store.create(
      'transfer',
      { id: exportId },
      { ...begun, transferId: exportId, kind: 'EXPORT', written: none },
    )
    await pass(300_000)
    expect((await firstImport())?.status).toBe('STARTED')
    await pass(1)
    expect(await firstImport()).toMatchObject({
      status: 'FAILED',
      endDateTime: '2026-03-01T12:05:00.001000+00:00',
    })
    expect(await errorsOf(importId)).toEqual([
      [
        'PROCESSING_ERROR',
        undefined,
        expect.stringMatching(
          /^The gateway ended in the middle of this import: rows before that are taken\. Start it again/,
        ),
      ],
    ])
    await settleTransfers(service.gateway.services)
    expect((await store.get('transfer', { id: exportId }))?.value).toMatchObject({
      status: 'FAILED',
      errors: [{ rawError: expect.stringMatching(/^The gateway ended in the middle of this export/) }],
    })
  })

  it('that goes on says so, and is not taken for dead', async () => {
    const { services } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    const seen: (string | undefined)[] = []
    beforeEachRow(async () => {
      service.gateway.pass(200_000)
      await settleTransfers(services)
      seen.push((await service.gateway.store.list('transfer')).items[0]?.value.status)
    })
    const { importTask } = await importOf('long')
    expect(seen).toEqual(['STARTED', 'STARTED', 'STARTED'])
    expect(importTask).toMatchObject({ status: 'SUCCEEDED', summary: { applications: { createdCount: 3 } } })
  })

  it('that takes longer than its caller waits is answered, and goes on', async () => {
    const { services } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    services.longCalls = new LongCalls(0, services.log)
    const released = Promise.withResolvers<undefined>()
    beforeEachRow(() => released.promise)
    expect((await importOf('long')).importTask).toMatchObject({ status: 'STARTED', progressPercentage: 0 })
    expect((await importOf('long')).importTask).toMatchObject({ status: 'STARTED' })
    released.resolve(undefined)
    await until('it has ended', async () => (await firstImport())?.status !== 'STARTED')
    expect(await firstImport()).toMatchObject({
      status: 'SUCCEEDED',
      progressPercentage: 100,
      summary: { applications: { createdCount: 3 } },
    })
  })

  it('waits its turn where enough are under way, and those are still told of', async () => {
    const { services } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    services.longCalls = new LongCalls(0, services.log)
    const released = Promise.withResolvers<undefined>()
    beforeEachRow(() => released.promise)
    for (let number = 1; number <= mostLongCalls; number++) await importOf(`${number}`)
    expect(await refusalOf(importOf('one more'))).toMatchObject({
      name: 'ThrottlingException',
      message: expect.stringMatching(/^4 imports and exports are under way/) as string,
    })
    const exporting = new StartExportCommand({ s3Bucket: 'plans', s3Key: 'out.csv' })
    expect(await refusalOf(service.client.send(exporting))).toMatchObject({ name: 'ThrottlingException' })
    expect((await importOf('1')).importTask).toMatchObject({ status: 'STARTED' })
    const known = (await service.gateway.store.list('transfer')).items
    expect(known).toHaveLength(mostLongCalls)
    released.resolve(undefined)
    await until('they have ended', () => Promise.resolve(!services.longCalls.isFull))
    // It is not held up, and may have ended before the caller's patience has.
    expect((await importOf('one more')).importTask?.status).toMatch(/^(STARTED|SUCCEEDED)$/)
    await services.longCalls.stop()
  })

  it('says how far it is', async () => {
    await service.gateway.services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    const seen: (number | undefined)[] = []
    beforeEachRow(async () => {
      seen.push((await firstImport())?.progressPercentage)
      service.gateway.pass(5000)
    })
    expect((await importOf('long')).importTask?.progressPercentage).toBe(100)
    expect(seen).toEqual([0, 33, 66])
  })

  it('ends where it is when the gateway stops, and says what to do', async () => {
    const { services } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    beforeEachRow(() => {
      void services.longCalls.stop()
      return Promise.resolve()
    })
    const { importTask } = await importOf('long')
    expect(importTask?.status).toBe('FAILED')
    expect((await errorsOf(importTask?.importID))[0]?.[2]).toMatch(/^The gateway ended .* Start it again/)
    const { items = [] } = await service.client.send(new ListApplicationsCommand({}))
    expect(items.map(({ name }) => name)).toEqual(['one'])
  })

  it('that was taken for dead ends where it is when it goes on, and stays as it was ended', async () => {
    const { services, store } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    const create = store.create.bind(store)
    store.create = async (kind, key, value) => {
      const revision = await create(kind, key, value)
      if (kind === 'application') {
        service.gateway.pass(300_001)
        await settleTransfers(services)
      }
      return revision
    }
    expect((await importOf('long')).importTask?.status).toBe('FAILED')
    await pass(0)
    expect((await errorsOf((await firstImport())?.importID))[0]?.[2]).toMatch(/^The gateway ended/)
    const { items = [] } = await service.client.send(new ListApplicationsCommand({}))
    expect(items.map(({ name }) => name)).toEqual(['one'])
  })

  it('keeps the tags that it is given while it runs', async () => {
    const { services } = service.gateway
    const { files } = services
    await files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    services.files = {
      write: (...given) => files.write(...given),
      read: async (place) => {
        const resourceArn = `arn:aws:mgn:eu-test-1:123456789012:import/${(await firstImport())?.importID}`
        await service.client.send(new TagResourceCommand({ resourceArn, tags: { late: 'yes' } }))
        return files.read(place)
      },
    }
    expect((await importOf('tagged')).importTask?.status).toBe('SUCCEEDED')
    const [found] = (await service.gateway.store.list('transfer')).items
    expect(found?.value).toMatchObject({ status: 'SUCCEEDED', tags: { late: 'yes' } })
  })

  it('fails in words when the file store does not answer', async () => {
    const { services } = service.gateway
    const away = () => Promise.reject(new Error('Cannot read file plan.csv: no answer within 30 s'))
    services.files = { read: away, write: away }
    const { importTask } = await importOf('away')
    expect(importTask?.status).toBe('FAILED')
    expect(await errorsOf(importTask?.importID)).toEqual([
      ['PROCESSING_ERROR', undefined, 'Cannot read file plan.csv: no answer within 30 s'],
    ])
  })

  it('asks the file store for the bucket of the owner that the caller names', async () => {
    const asked: FilePlace[] = []
    service.gateway.services.files = {
      read: (place) => {
        asked.push(place)
        return Promise.resolve(csv)
      },
      write: (place) => {
        asked.push(place)
        return Promise.resolve()
      },
    }
    const s3BucketOwner = '111122223333'
    await service.client.send(new StartImportCommand({ s3BucketSource: { ...plan, s3BucketOwner } }))
    await service.client.send(new StartExportCommand({ ...plan, s3BucketOwner }))
    for (const place of asked)
      expect(place).toMatchObject({ bucket: 'plans', key: 'plan.csv', bucketOwner: s3BucketOwner })
    expect(asked).toHaveLength(2)
  })

  it('takes the other rows when one is refused by what others did meanwhile', async () => {
    const { services, store } = service.gateway
    await services.files.write({ bucket: 'plans', key: 'plan.csv' }, csv)
    const { applicationID = '' } = await service.client.send(new CreateApplicationCommand({ name: 'two' }))
    await services.files.write(
      { bucket: 'plans', key: 'plan.csv' },
      Buffer.from('mgn:app:name,mgn:app:description\none,\ntwo,new\nthree,\n'),
    )
    const create = store.create.bind(store)
    store.create = async (kind, key, value) => {
      if (kind === 'application') await store.remove('application', { id: applicationID })
      return create(kind, key, value)
    }
    const { importTask } = await importOf('race')
    expect(importTask).toMatchObject({
      status: 'FAILED',
      summary: { applications: { createdCount: 2, modifiedCount: 0 } },
    })
    expect(await errorsOf(importTask?.importID)).toEqual([
      ['PROCESSING_ERROR', 3, `Cannot find application ${applicationID}; import the file again`],
    ])
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
    expect(await readCsv(Buffer.from(text))).toEqual([
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

it('a cell comes back as it was, whatever it begins with', async () => {
  const cells = ['=1', "'=1", '+1', '-1', '@a', "'a", '\t=1', 'a=1', "''"]
  const rows = cells.map((cell) => ({ 'mgn:app:description': cell }))
  expect(await readCsv(await writeCsv(rows))).toEqual(rows)
})
