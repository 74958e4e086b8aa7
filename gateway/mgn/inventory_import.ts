/**
 * Taking over an inventory in which nothing is wrong: waves and applications are made or changed by their names, and servers by id or by the id that
 * their users gave them; of servers that are not there yet the agents are awaited. The same file once more changes nothing.
 * @module
 */
import type { Application, Group, Wave } from '../../domain/application.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TransferCounts, TransferError } from '../../domain/transfer.ts'
import type { Row } from './inventory_csv.ts'
import type { MgnContext } from './operation.ts'
import { isAwaited } from '../../domain/awaited_server.ts'
import { ConflictError, NotFoundError, errorMessage } from '../../domain/errors.ts'
import { newId } from '../../domain/ids.ts'
import { maxTags } from '../../domain/tags.ts'
import { maxErrorLength } from '../../domain/transfer.ts'
import { withEvent } from '../../domain/source_server.ts'
import { noteAwaitedName } from '../../store/awaited_names.ts'
import { mutate } from '../../store/mutate.ts'
import { awaitServer } from '../awaited_servers.ts'
import { changeServer } from '../server_changes.ts'
import { createGroup } from './groups.ts'
import { firstRow, tagsIn } from './inventory_csv.ts'
import { withPlatform } from './inventory_platform.ts'
import { ServerIndex, copiesTags, readInventory } from './inventory_rows.ts'
import { confirmApplications, confirmMembers, noteMember } from './memberships.ts'

/** What an import did. */
export interface Imported {
  created: TransferCounts
  modified: TransferCounts
  errors: TransferError[]
}

type Came = 'created' | 'modified' | 'same'

/** What is known, row by row more. */
interface Known {
  servers: ServerIndex
  applications: Map<string, Application>
  waves: Map<string, Wave>
}

/**
 * Takes over rows in which `errorsIn` finds nothing. What others change at the same moment may refuse a row all the same: it is among the errors, and the
 * others are taken. `signOfLife` is called before each row with how many are done; what it throws ends the import.
 */
export async function importInventory(
  context: MgnContext,
  rows: readonly Row[],
  signOfLife: (doneRows: number) => Promise<void>,
): Promise<Imported> {
  const imported: Imported = {
    created: { servers: 0, applications: 0, waves: 0 },
    modified: { servers: 0, applications: 0, waves: 0 },
    errors: [],
  }
  const count = (what: keyof TransferCounts, came: Came) => {
    if (came !== 'same') imported[came][what] += 1
  }
  const { servers, applications, waves } = await readInventory(context.services)
  const known: Known = {
    servers: new ServerIndex(servers),
    applications: new Map(applications.map((one) => [one.name, one])),
    waves: new Map(waves.map((one) => [one.name, one])),
  }
  for (const [index, row] of rows.entries()) {
    await signOfLife(index)
    try {
      await importRow(context, row, known, count)
    } catch (error) {
      imported.errors.push({
        at: context.services.clock().toISOString(),
        type: 'PROCESSING_ERROR',
        rawError: `${errorMessage(error)}; import the file again`.slice(0, maxErrorLength),
        rowNumber: index + firstRow,
      })
      // What is not about this row alone would be so for every other.
      if (!(error instanceof ConflictError || error instanceof NotFoundError)) break
    }
  }
  return imported
}

async function importRow(
  context: MgnContext,
  row: Row,
  known: Known,
  count: (what: keyof TransferCounts, came: Came) => void,
): Promise<void> {
  const wave = await ensureWave(context, row, known)
  count('waves', wave?.came ?? 'same')
  const application = await ensureApplication(context, row, wave?.wave, known)
  count('applications', application?.came ?? 'same')
  const awaited = known.servers.awaited(row)
  if (awaited !== undefined) {
    const { server, isNew } = await awaitServer(context.services, awaited, {
      actor: context.caller.actor,
      platform: row['mgn:server:platform'],
      fqdn: row['mgn:server:fqdn-for-action-framework'],
    })
    known.servers.add(server)
    const came = await ensureServer(context, server, row, application?.application)
    count('servers', isNew ? 'created' : came)
    return
  }
  const server = known.servers.named(row)
  if (server !== undefined)
    count('servers', await ensureServer(context, server, row, application?.application))
}

/** `known` with the tags of the row; the same object when it has them. @throws ConflictError when there would be too many. */
function withTags(known: Record<string, string>, given: Record<string, string>): Record<string, string> {
  if (Object.entries(given).every(([key, value]) => known[key] === value)) return known
  const merged = { ...known, ...given }
  const size = Object.keys(merged).length
  if (size > maxTags) throw new ConflictError(`There would be ${size} tags; at most ${maxTags} are allowed`)
  return merged
}

/** A group as the row changes it; the same object when it does not. */
function withRow<T extends Group>(known: T, row: Row, thing: 'wave' | 'app', at: string): T {
  const text = row[`mgn:${thing}:description`] ?? known.description
  const merged = withTags(known.tags, tagsIn(row, thing))
  if (text === known.description && merged === known.tags) return known
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
  { waves }: Known,
): Promise<{ wave: Wave; came: Came } | undefined> {
  const name = row['mgn:wave:name']
  if (name === undefined) return undefined
  const { store, random } = services
  const at = services.clock().toISOString()
  const known = waves.get(name)
  if (known === undefined) {
    const wave: Wave = { waveId: newId('wave', random), ...newGroup(row, 'wave', at) }
    await createGroup(store, 'wave', wave)
    waves.set(name, wave)
    return { wave, came: 'created' }
  }
  if (withRow(known, row, 'wave', at) === known) return { wave: known, came: 'same' }
  const { value } = await mutate(store, 'wave', { id: known.waveId }, (current) =>
    withRow(current, row, 'wave', at),
  )
  waves.set(name, value)
  return { wave: value, came: 'modified' }
}

async function ensureApplication(
  { services }: MgnContext,
  row: Row,
  wave: Wave | undefined,
  { applications }: Known,
): Promise<{ application: Application; came: Came } | undefined> {
  const name = row['mgn:app:name']
  if (name === undefined) return undefined
  const { store, random } = services
  const at = services.clock().toISOString()
  const ofWave = wave === undefined ? {} : { waveId: wave.waveId }
  const known = applications.get(name)
  const isJoining = wave !== undefined && known?.waveId !== wave.waveId
  const change = (current: Application): Application => {
    const isThere = wave === undefined || current.waveId === wave.waveId
    return withRow(isThere ? current : { ...current, ...ofWave, lastModifiedAt: at }, row, 'app', at)
  }
  if (known !== undefined && change(known) === known) return { application: known, came: 'same' }
  const application: Application =
    known === undefined
      ? { applicationId: newId('application', random), ...newGroup(row, 'app', at), ...ofWave }
      : (await mutate(store, 'application', { id: known.applicationId }, change)).value
  if (known === undefined) await createGroup(store, 'application', application)
  applications.set(name, application)
  if (isJoining) await confirmApplications(services, wave.waveId, [application.applicationId])
  return { application, came: known === undefined ? 'created' : 'modified' }
}

async function ensureServer(
  { services, caller }: MgnContext,
  known: SourceServer,
  row: Row,
  application: Application | undefined,
): Promise<Came> {
  const { sourceServerId } = known
  const at = services.clock().toISOString()
  const fqdn = row['mgn:server:fqdn-for-action-framework']
  // Only who is awaited is looked for by a name.
  if (fqdn !== undefined && isAwaited(known)) await noteAwaitedName(services.store, fqdn, sourceServerId)
  if (application !== undefined && known.applicationId !== application.applicationId)
    await noteMember(services.store, application.applicationId, sourceServerId)
  let came: Came = 'same'
  let hasJoined = false
  await changeServer(services, sourceServerId, (current) => {
    const next = serverWithRow(current, row, application, at)
    came = next === current ? 'same' : 'modified'
    hasJoined = next.applicationId !== current.applicationId
    if (next === current) return current
    return withEvent(next, at, {
      type: 'CONFIGURATION',
      actor: caller.actor,
      message:
        application !== undefined && hasJoined
          ? `Made part of application ${application.name} by an import`
          : 'Changed by an import',
    })
  })
  if (application !== undefined && hasJoined)
    await confirmMembers(services, application.applicationId, [sourceServerId])
  return came
}

/** A server as the row changes it; the same object when it does not. @throws ConflictError when it cannot be. */
function serverWithRow(
  server: SourceServer,
  row: Row,
  application: Application | undefined,
  at: string,
): SourceServer {
  const { launchConfiguration } = server
  const ofPlatform = withPlatform(server, row, at)
  const merged = withTags(server.tags, tagsIn(row, 'server'))
  const applicationId = application?.applicationId ?? server.applicationId
  const copyTags = copiesTags(row) ?? launchConfiguration.copyTags
  const fqdn = row['mgn:server:fqdn-for-action-framework'] ?? server.fqdnForActionFramework
  const isSame =
    ofPlatform === server &&
    merged === server.tags &&
    applicationId === server.applicationId &&
    copyTags === launchConfiguration.copyTags &&
    fqdn === server.fqdnForActionFramework
  if (isSame) return server
  return {
    ...ofPlatform,
    tags: merged,
    ...(applicationId === undefined ? {} : { applicationId }),
    ...(fqdn === undefined ? {} : { fqdnForActionFramework: fqdn }),
    ...(copyTags === undefined ? {} : { launchConfiguration: { ...launchConfiguration, copyTags } }),
  }
}
