/**
 * Imports and exports on their way: begun, run, and ended once. One whose gateway died is ended by whoever sees it next.
 * @module
 */
import type { Transfer, TransferError } from '../../domain/transfer.ts'
import type { Services } from '../services.ts'
import type { MgnContext } from './operation.ts'
import { ConflictError, InvalidInputError, errorMessage } from '../../domain/errors.ts'
import { maxErrorLength, maxTransferErrors } from '../../domain/transfer.ts'
import { listAll } from '../../store/listing.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { mostLongCalls } from '../long_calls.ts'
import { exportInventory } from './inventory_export.ts'
import { importInventory } from './inventory_import.ts'
import { WrongRowsError, readCsv } from './inventory_csv.ts'
import { errorsIn, readInventory } from './inventory_rows.ts'
import { MgnError } from './mgn_error.ts'

export type Import = Extract<Transfer, { kind: 'IMPORT' }>
export type Export = Extract<Transfer, { kind: 'EXPORT' }>

type TransferServices = Pick<Services, 'store' | 'clock'>

/** A running import says so, and how far it is, this often. */
const signEveryMs = 5000

/** Longer than anything that a transfer does between two signs of life. */
const silentMs = 5 * 60_000

const cutShortWords = {
  IMPORT:
    'The gateway ended in the middle of this import: rows before that are taken. Start it again, without a client token or with another; rows that are taken already stay as they are',
  EXPORT: 'The gateway ended in the middle of this export, and there may be no file. Start it again',
} as const

/** What went wrong as a whole, told in the transfer: the caller's file, its rows that cannot be read, or ours. */
function failuresOf(error: unknown, at: string): TransferError[] {
  if (error instanceof WrongRowsError)
    return error.rows.slice(0, maxTransferErrors).map((row) => ({ at, type: 'VALIDATION_ERROR', ...row }))
  const isTheirs = error instanceof InvalidInputError
  const type = isTheirs ? 'VALIDATION_ERROR' : 'PROCESSING_ERROR'
  return [{ at, type, rawError: errorMessage(error).slice(0, maxErrorLength) }]
}

/** Imports the file. The transfer as it ended, which is saved. */
export async function runImport(context: MgnContext, own: Import): Promise<Import> {
  const { services } = context
  const ended = () => services.clock().toISOString()
  const run = async (): Promise<Import> => {
    const rows = await readCsv(await services.files.read(own))
    const wrong = await errorsIn(rows, await readInventory(services), context)
    if (wrong.length > 0)
      return { ...own, status: 'FAILED', endedAt: ended(), errors: wrong.slice(0, maxTransferErrors) }
    const tell = signOfLife(services, own)
    const { created, modified, errors } = await importInventory(context, rows, async (done) => {
      if (services.longCalls.isStopping) throw new Error(cutShortWords.IMPORT)
      await tell(Math.floor((done / rows.length) * 100))
    })
    const status = errors.length > 0 ? 'FAILED' : 'SUCCEEDED'
    return {
      ...own,
      status,
      endedAt: ended(),
      created,
      modified,
      errors: errors.slice(0, maxTransferErrors),
    }
  }
  const failed = (error: unknown): Import => ({
    ...own,
    status: 'FAILED',
    endedAt: ended(),
    errors: failuresOf(error, ended()),
  })
  return end(services, await run().catch(failed))
}

/** Exports to the file. The transfer as it ended, which is saved. */
export async function runExport(context: MgnContext, own: Export): Promise<Export> {
  const { services } = context
  const ended = () => services.clock().toISOString()
  const run = async (): Promise<Export> => {
    const { bytes, written } = await exportInventory(context)
    await services.files.write(own, bytes)
    return { ...own, status: 'SUCCEEDED', endedAt: ended(), written }
  }
  const failed = (error: unknown): Export => ({
    ...own,
    status: 'FAILED',
    endedAt: ended(),
    errors: failuresOf(error, ended()),
  })
  return end(services, await run().catch(failed))
}

/**
 * Writes down that a transfer has begun; answers the one that has its id already.
 * @throws MgnError when enough of them are under way at this gateway.
 */
export async function begin(
  services: TransferServices & Pick<Services, 'longCalls'>,
  own: Transfer,
): Promise<Transfer | undefined> {
  const { longCalls, store } = services
  if (longCalls.isFull && (await store.get('transfer', { id: own.transferId })) === undefined)
    throw new MgnError(
      'ThrottlingException',
      `${mostLongCalls} imports and exports are under way at this gateway already; try again when one of them has ended`,
      { headers: { 'Retry-After': '10' } },
    )
  try {
    await services.store.create('transfer', { id: own.transferId }, own)
    return undefined
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    const known = await services.store.get('transfer', { id: own.transferId })
    return known && settled(services, known.value)
  }
}

/** Saves how a transfer ended, unless it was ended before; its tags may have been changed meanwhile. */
async function end<T extends Transfer>({ store }: TransferServices, own: T): Promise<T> {
  const { value } = await mutate(store, 'transfer', { id: own.transferId }, (current) =>
    isOpen(current) ? { ...own, tags: current.tags } : undefined,
  )
  // A transfer stays of its kind.
  return value as T
}

/** Says now and then that a transfer goes on, and how far it is. What it gives throws ConflictError when somebody took the transfer for dead: it must not go on then. */
function signOfLife(
  services: TransferServices,
  { transferId, createdAt }: Transfer,
): (progressPercentage: number) => Promise<void> {
  let saidAt = Date.parse(createdAt)
  return async (progressPercentage) => {
    const now = services.clock()
    if (now.getTime() - saidAt < signEveryMs) return
    await mutate(services.store, 'transfer', { id: transferId }, (current) => {
      if (!isOpen(current))
        throw new ConflictError('Nothing was heard of this import for minutes, so it was ended')
      return { ...current, aliveAt: now.toISOString(), progressPercentage }
    })
    saidAt = now.getTime()
  }
}

function isOpen({ status }: Transfer): boolean {
  return status === 'PENDING' || status === 'STARTED'
}

function isCutShort(own: Transfer, now: Date): boolean {
  return isOpen(own) && now.getTime() - Date.parse(own.aliveAt ?? own.createdAt) > silentMs
}

/** `own`, ended when its gateway did not come to that. */
export async function settled({ store, clock }: TransferServices, own: Transfer): Promise<Transfer> {
  const now = clock()
  if (!isCutShort(own, now)) return own
  const at = now.toISOString()
  const rawError = cutShortWords[own.kind]
  const { value } = await mutate(store, 'transfer', { id: own.transferId }, (current) =>
    isCutShort(current, now)
      ? { ...current, status: 'FAILED', endedAt: at, errors: [{ at, type: 'PROCESSING_ERROR', rawError }] }
      : undefined,
  )
  return value
}

/** Ends all transfers whose gateway did not come to that. */
export async function settleTransfers(services: TransferServices): Promise<void> {
  for (const own of await listAll(services.store, 'transfer')) await settled(services, own)
}
