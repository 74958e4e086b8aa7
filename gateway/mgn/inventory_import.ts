/**
 * Taking over an inventory. First every row is looked at, and nothing is changed when one is wrong; then waves and applications are made or changed by
 * their names, and servers by id or by the id that their users gave them. The same file once more changes nothing.
 * @module
 */
import type { Application, Group, Wave } from '../../domain/application.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TransferCounts, TransferError } from '../../domain/transfer.ts'
import type { Row } from './inventory_csv.ts'
import type { MgnContext } from './operation.ts'
import { newId } from '../../domain/ids.ts'
import { maxErrorLength } from '../../domain/transfer.ts'
import { withEvent } from '../../domain/source_server.ts'
import { listAll } from '../../store/listing.ts'
import { mutate } from '../../store/mutate.ts'
import { changeServer } from '../server_changes.ts'
import { description, plainName, tags } from './fields.ts'
import { tagsIn } from './inventory_csv.ts'

/** What an import did. */
export interface Imported {
  created: TransferCounts
  modified: TransferCounts
  errors: TransferError[]
}

/** The header is row 1. */
const firstRow = 2

/** Everything that is wrong with the rows; empty when they can be taken. */
export function errorsIn(
  rows: readonly Row[],
  servers: readonly SourceServer[],
  { account, services }: Pick<MgnContext, 'account' | 'services'>,
): TransferError[] {
  const at = services.clock().toISOString()
  return rows.flatMap((row, index) =>
    sentencesOn(row, servers, account.accountId).map((rawError) => ({
      at,
      type: 'VALIDATION_ERROR' as const,
      rawError: rawError.slice(0, maxErrorLength),
      rowNumber: index + firstRow,
    })),
  )
}

function sentencesOn(row: Row, servers: readonly SourceServer[], accountId: string): string[] {
  const wrong: string[] = []
  const account = row['mgn:account-id']
  if (account !== undefined && account !== accountId)
    wrong.push(`account ${account} is not this one, ${accountId}`)
  for (const thing of ['wave', 'app'] as const) {
    const name = row[`mgn:${thing}:name`]
    const hasMore = Object.keys(row).some((column) => column.startsWith(`mgn:${thing}:`))
    if (name === undefined && hasMore) wrong.push(`mgn:${thing}:name is missing`)
    if (name !== undefined && !plainName.safeParse(name).success)
      wrong.push(`mgn:${thing}:name is no name: ${name}`)
    if (!description.safeParse(row[`mgn:${thing}:description`] ?? '').success)
      wrong.push(`mgn:${thing}:description is too long`)
  }
  if (row['mgn:wave:name'] !== undefined && row['mgn:app:name'] === undefined && namesServer(row))
    wrong.push('a server is part of a wave through its application: mgn:app:name is missing')
  for (const thing of ['wave', 'app', 'server'] as const)
    if (!tags.safeParse(tagsIn(row, thing)).success) wrong.push(`the tags of mgn:${thing} are not valid`)
  if (namesServer(row) && serverIn(row, servers) === undefined)
    wrong.push(
      `there is no server ${row['mgn:server:id'] ?? row['mgn:server:user-provided-id']}: install its agent first, with --user-provided-id where the file names one`,
    )
  if (!namesServer(row) && Object.keys(tagsIn(row, 'server')).length > 0)
    wrong.push('tags of a server need mgn:server:id or mgn:server:user-provided-id')
  return wrong
}

function namesServer(row: Row): boolean {
  return row['mgn:server:id'] !== undefined || row['mgn:server:user-provided-id'] !== undefined
}

function serverIn(row: Row, servers: readonly SourceServer[]): SourceServer | undefined {
  // Servers that nobody gave an id have none in common with a row that has none.
  if (!namesServer(row)) return undefined
  const id = row['mgn:server:id']
  if (id !== undefined) return servers.find(({ sourceServerId }) => sourceServerId === id)
  return servers.find(({ userProvidedId }) => userProvidedId === row['mgn:server:user-provided-id'])
}

/** Takes rows over in which {@link errorsIn} finds nothing. */
export async function importInventory(context: MgnContext, rows: readonly Row[]): Promise<Imported> {
  const { services } = context
  const created = { servers: 0, applications: 0, waves: 0 }
  const modified = { servers: 0, applications: 0, waves: 0 }
  const count = (what: keyof TransferCounts, came: 'created' | 'modified' | 'same') => {
    if (came === 'created') created[what] += 1
    if (came === 'modified') modified[what] += 1
  }
  const servers = await services.fleet.list()
  for (const row of rows) {
    const wave = await ensureWave(context, row)
    count('waves', wave?.came ?? 'same')
    const application = await ensureApplication(context, row, wave?.wave)
    count('applications', application?.came ?? 'same')
    const server = serverIn(row, servers)
    if (server !== undefined)
      count('servers', await ensureServer(context, server, row, application?.application))
  }
  return { created, modified, errors: [] }
}

type Came = 'created' | 'modified' | 'same'

/** A group as the row changes it; the same object when it does not. */
function withRow<T extends Group>(known: T, row: Row, thing: 'wave' | 'app', at: string): T {
  const text = row[`mgn:${thing}:description`] ?? known.description
  const merged = { ...known.tags, ...tagsIn(row, thing) }
  if (text === known.description && JSON.stringify(merged) === JSON.stringify(known.tags)) return known
  return { ...known, description: text, tags: merged, lastModifiedAt: at }
}

function newGroup(row: Row, thing: 'wave' | 'app', at: string): Group {
  return {
    name: row[`mgn:${thing}:name`] ?? '',
    description: row[`mgn:${thing}:description`] ?? '',
    isArchived: false,
    createdAt: at,
    lastModifiedAt: at,
    tags: tagsIn(row, thing),
  }
}

async function ensureWave(
  { services }: MgnContext,
  row: Row,
): Promise<{ wave: Wave; came: Came } | undefined> {
  const name = row['mgn:wave:name']
  if (name === undefined) return undefined
  const { store, random } = services
  const at = services.clock().toISOString()
  const known = (await listAll(store, 'wave')).find((one) => one.name === name)
  if (known === undefined) {
    const wave: Wave = { waveId: newId('wave', random), ...newGroup(row, 'wave', at) }
    await store.create('wave', { id: wave.waveId }, wave)
    return { wave, came: 'created' }
  }
  if (withRow(known, row, 'wave', at) === known) return { wave: known, came: 'same' }
  const { value } = await mutate(store, 'wave', { id: known.waveId }, (current) =>
    withRow(current, row, 'wave', at),
  )
  return { wave: value, came: 'modified' }
}

async function ensureApplication(
  { services }: MgnContext,
  row: Row,
  wave: Wave | undefined,
): Promise<{ application: Application; came: Came } | undefined> {
  const name = row['mgn:app:name']
  if (name === undefined) return undefined
  const { store, random } = services
  const at = services.clock().toISOString()
  const ofWave = wave === undefined ? {} : { waveId: wave.waveId }
  const known = (await listAll(store, 'application')).find((one) => one.name === name)
  if (known === undefined) {
    const application: Application = {
      applicationId: newId('application', random),
      ...newGroup(row, 'app', at),
      ...ofWave,
    }
    await store.create('application', { id: application.applicationId }, application)
    return { application, came: 'created' }
  }
  const change = (current: Application): Application => {
    const isThere = wave === undefined || current.waveId === wave.waveId
    return withRow(isThere ? current : { ...current, ...ofWave, lastModifiedAt: at }, row, 'app', at)
  }
  if (change(known) === known) return { application: known, came: 'same' }
  const { value } = await mutate(store, 'application', { id: known.applicationId }, change)
  return { application: value, came: 'modified' }
}

async function ensureServer(
  { services, caller }: MgnContext,
  server: SourceServer,
  row: Row,
  application: Application | undefined,
): Promise<Came> {
  const at = services.clock().toISOString()
  let came: Came = 'same'
  await changeServer(services, server.sourceServerId, (current) => {
    const merged = { ...current.tags, ...tagsIn(row, 'server') }
    const applicationId = application?.applicationId ?? current.applicationId
    const isSame =
      JSON.stringify(merged) === JSON.stringify(current.tags) && applicationId === current.applicationId
    came = isSame ? 'same' : 'modified'
    if (isSame) return current
    const next = { ...current, tags: merged, ...(applicationId === undefined ? {} : { applicationId }) }
    return withEvent(next, at, {
      type: 'CONFIGURATION',
      actor: caller.actor,
      message:
        application === undefined ? 'Tags changed by an import' : `Part of ${application.name} by an import`,
    })
  })
  return came
}
