/**
 * Imports and exports of the inventory, as CSV files in the file store. One that is dealt with in a few seconds is answered with what came of it; a longer one has started
 * then and goes on, and whoever asks again with the same token is told how far it is.
 * @module
 */
import type { ImportId } from '../../../domain/ids.ts'
import type { Transfer } from '../../../domain/transfer.ts'
import type { MgnContext } from '../operation.ts'
import { z } from 'zod'
import { ConflictError, NotFoundError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { noCounts } from '../../../domain/transfer.ts'
import { listAll } from '../../../store/listing.ts'
import { sha256 } from '../../secrets.ts'
import { arnOf } from '../account.ts'
import { accountID, exportID, importID, paging, tags } from '../fields.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import type { Export, Import } from '../transfer_runs.ts'
import { begin, runExport, runImport, settled } from '../transfer_runs.ts'
import { mgnTime, mgnTimeOf } from '../shapes/times.ts'

const s3Bucket = z.string().regex(/^[a-zA-Z0-9.\-_]{1,255}$/, 'must be the name of a bucket')

const s3Key = z
  .string()
  // eslint-disable-next-line no-control-regex -- the model excludes exactly the null character
  .regex(/^[^\0]{1,1020}\.csv$/, 'must end with .csv')

/** The shape ImportTask. */
function showImport({ account }: MgnContext, own: Import): object {
  const counts = (kind: 'servers' | 'applications' | 'waves') => ({
    createdCount: own.created[kind],
    modifiedCount: own.modified[kind],
  })
  return {
    importID: own.transferId,
    arn: arnOf(account, 'import', own.transferId),
    s3BucketSource: {
      s3Bucket: own.bucket,
      s3Key: own.key,
      ...(own.bucketOwner === undefined ? {} : { s3BucketOwner: own.bucketOwner }),
    },
    ...progressOf(own),
    summary: { waves: counts('waves'), applications: counts('applications'), servers: counts('servers') },
    tags: own.tags,
  }
}

/** The shape ExportTask. */
function showExport({ account }: MgnContext, own: Export): object {
  return {
    exportID: own.transferId,
    arn: arnOf(account, 'export', own.transferId),
    s3Bucket: own.bucket,
    s3Key: own.key,
    ...(own.bucketOwner === undefined ? {} : { s3BucketOwner: own.bucketOwner }),
    ...progressOf(own),
    summary: {
      serversCount: own.written.servers,
      applicationsCount: own.written.applications,
      wavesCount: own.written.waves,
    },
    tags: own.tags,
  }
}

function progressOf({ createdAt, endedAt, status, progressPercentage = 0 }: Transfer): object {
  return {
    creationDateTime: mgnTime(createdAt),
    ...mgnTimeOf('endDateTime', endedAt),
    status,
    progressPercentage: status === 'SUCCEEDED' ? 100 : progressPercentage,
  }
}

/** The same for the same token: whoever writes it first imports, and the others are told what becomes of that. */
function importIdOf(clientToken: string): ImportId {
  return `import-${sha256(clientToken).slice(0, 17)}` as ImportId
}

/** @throws NotFoundError. */
async function find({ services }: MgnContext, kind: Transfer['kind'], id: string): Promise<Transfer> {
  const found = await services.store.get('transfer', { id })
  if (found?.value.kind !== kind) throw new NotFoundError(kind === 'IMPORT' ? 'ImportTask' : 'ExportTask', id)
  return settled(services, found.value)
}

async function list({ services }: MgnContext, ids: readonly string[]): Promise<Transfer[]> {
  const all = await listAll(services.store, 'transfer')
  const wanted = all.filter(({ transferId }) => ids.length === 0 || ids.includes(transferId))
  return Promise.all(wanted.map((own) => settled(services, own)))
}

const keyOf = ({ createdAt, transferId }: Transfer): string => `${createdAt} ${transferId}`

function showErrors(
  { errors }: Transfer,
  wanted: { maxResults?: number | undefined; nextToken?: string | undefined },
) {
  const numbered = errors.map((error, index) => ({ error, key: String(index).padStart(6, '0') }))
  const { items, ...next } = pageOf(numbered, ({ key }) => key, wanted)
  return { items: items.map(({ error }) => error), ...next }
}

export const transferOperations = [
  operation({
    name: 'StartImport',
    status: 202,
    input: z.object({
      clientToken: z.string().max(64).optional(),
      s3BucketSource: z.object({ s3Bucket, s3Key, s3BucketOwner: accountID.optional() }),
      tags: tags.optional(),
    }),
    async run(context, { clientToken, s3BucketSource, tags: given }) {
      const { services } = context
      const { s3Bucket: bucket, s3Key: key, s3BucketOwner: bucketOwner } = s3BucketSource
      const begun: Import = {
        transferId: clientToken === undefined ? newId('import', services.random) : importIdOf(clientToken),
        kind: 'IMPORT',
        bucket,
        key,
        ...(bucketOwner === undefined ? {} : { bucketOwner }),
        ...(clientToken === undefined ? {} : { clientToken }),
        status: 'STARTED',
        createdAt: services.clock().toISOString(),
        tags: given ?? {},
        errors: [],
        created: noCounts,
        modified: noCounts,
      }
      const known = await begin(services, begun)
      if (known !== undefined) {
        if (known.kind !== 'IMPORT' || known.bucket !== bucket || known.key !== key)
          throw new ConflictError(`clientToken ${clientToken} was used for ${known.bucket}/${known.key}`, {
            obstacle: { resourceType: 'ImportTask', resourceId: known.transferId },
          })
        return { importTask: showImport(context, known) }
      }
      const what = `Import ${begun.transferId}`
      const ended = await services.longCalls.answer(what, runImport(context, begun))
      return { importTask: showImport(context, ended ?? begun) }
    },
  }),
  operation({
    name: 'StartExport',
    status: 202,
    input: z.object({ s3Bucket, s3Key, s3BucketOwner: accountID.optional(), tags: tags.optional() }),
    async run(context, { s3Bucket: bucket, s3Key: key, s3BucketOwner: bucketOwner, tags: given }) {
      const { services } = context
      const begun: Export = {
        transferId: newId('export', services.random),
        kind: 'EXPORT',
        bucket,
        key,
        ...(bucketOwner === undefined ? {} : { bucketOwner }),
        status: 'STARTED',
        createdAt: services.clock().toISOString(),
        tags: given ?? {},
        errors: [],
        written: noCounts,
      }
      await begin(services, begun)
      const what = `Export ${begun.transferId}`
      const ended = await services.longCalls.answer(what, runExport(context, begun))
      return { exportTask: showExport(context, ended ?? begun) }
    },
  }),
  operation({
    name: 'ListImports',
    status: 200,
    input: z.object({
      filters: z.object({ importIDs: z.array(importID).max(10).optional() }).optional(),
      ...paging,
    }),
    async run(context, { filters, ...wanted }) {
      const own = (await list(context, filters?.importIDs ?? [])).filter(
        (one): one is Import => one.kind === 'IMPORT',
      )
      const { items, ...next } = pageOf(own, keyOf, wanted)
      return { items: items.map((one) => showImport(context, one)), ...next }
    },
  }),
  operation({
    name: 'ListExports',
    status: 200,
    input: z.object({
      filters: z.object({ exportIDs: z.array(exportID).max(10).optional() }).optional(),
      ...paging,
    }),
    async run(context, { filters, ...wanted }) {
      const own = (await list(context, filters?.exportIDs ?? [])).filter(
        (one): one is Export => one.kind === 'EXPORT',
      )
      const { items, ...next } = pageOf(own, keyOf, wanted)
      return { items: items.map((one) => showExport(context, one)), ...next }
    },
  }),
  operation({
    name: 'ListImportErrors',
    status: 200,
    input: z.object({ importID, ...paging }),
    async run(context, { importID: id, ...wanted }) {
      const { items, ...next } = showErrors(await find(context, 'IMPORT', id), wanted)
      return {
        items: items.map(({ at, type, rawError, rowNumber }) => ({
          errorDateTime: mgnTime(at),
          errorType: type,
          errorData: { rawError, ...(rowNumber === undefined ? {} : { rowNumber }) },
        })),
        ...next,
      }
    },
  }),
  operation({
    name: 'ListExportErrors',
    status: 200,
    input: z.object({ exportID, ...paging }),
    async run(context, { exportID: id, ...wanted }) {
      const { items, ...next } = showErrors(await find(context, 'EXPORT', id), wanted)
      return {
        items: items.map(({ at, rawError }) => ({ errorDateTime: mgnTime(at), errorData: { rawError } })),
        ...next,
      }
    },
  }),
]
