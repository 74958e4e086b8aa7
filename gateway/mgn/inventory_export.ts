/**
 * Writing the inventory.
 * @module
 */
import type { Application, Wave } from '../../domain/application.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TransferCounts } from '../../domain/transfer.ts'
import type { MgnContext } from './operation.ts'
import type { Row, TaggedThing } from './inventory_csv.ts'
import { listAll } from '../../store/listing.ts'
import { columnOfTag, writeCsv } from './inventory_csv.ts'

/** The file of everything that is not archived, and how much of each it has. */
export async function exportInventory({
  services,
  account,
}: MgnContext): Promise<{ bytes: Uint8Array; written: TransferCounts }> {
  const isThere = ({ isArchived }: { isArchived: boolean }) => !isArchived
  const servers = (await services.fleet.latest()).filter(isThere)
  const applications = (await listAll(services.store, 'application')).filter(isThere)
  const waves = (await listAll(services.store, 'wave')).filter(isThere)
  const own = { 'mgn:account-id': account.accountId, 'mgn:region': account.region }
  const rowOf = (
    server: SourceServer | undefined,
    application: Application | undefined,
    wave: Wave | undefined,
  ): Row => ({
    ...own,
    ...(wave === undefined ? {} : cellsOfGroup('wave', wave)),
    ...(application === undefined ? {} : cellsOfGroup('app', application)),
    ...(server === undefined ? {} : cellsOfServer(server)),
  })
  // Thousands of servers and hundreds of the others: whoever went through all for each would keep heartbeats waiting.
  const applicationOf = new Map<string | undefined, Application>(
    applications.map((one) => [one.applicationId, one]),
  )
  const waveOf = new Map<string | undefined, Wave>(waves.map((one) => [one.waveId, one]))
  const rows = servers.map((server) => {
    const application = applicationOf.get(server.applicationId)
    return rowOf(server, application, waveOf.get(application?.waveId))
  })
  const inUse = new Set(servers.map(({ applicationId }) => applicationId))
  // What has no servers is lost otherwise.
  for (const application of applications)
    if (!inUse.has(application.applicationId))
      rows.push(rowOf(undefined, application, waveOf.get(application.waveId)))
  for (const wave of waves)
    if (!applications.some(({ waveId }) => waveId === wave.waveId))
      rows.push(rowOf(undefined, undefined, wave))
  const written = { servers: servers.length, applications: applications.length, waves: waves.length }
  return { bytes: await writeCsv(rows), written }
}

function cellsOfServer({
  sourceServerId,
  userProvidedId,
  fqdnForActionFramework: fqdn,
  tags,
  sourceProperties,
}: SourceServer): Row {
  return {
    'mgn:server:id': sourceServerId,
    ...(userProvidedId === undefined ? {} : { 'mgn:server:user-provided-id': userProvidedId }),
    'mgn:server:platform': sourceProperties.os.family,
    ...(fqdn === undefined ? {} : { 'mgn:server:fqdn-for-action-framework': fqdn }),
    ...cellsOfTags('server', tags),
  }
}

function cellsOfGroup(thing: 'wave' | 'app', { name, description, tags }: Application | Wave): Row {
  return {
    [`mgn:${thing}:name`]: name,
    ...(description === '' ? {} : { [`mgn:${thing}:description`]: description }),
    ...cellsOfTags(thing, tags),
  }
}

function cellsOfTags(thing: TaggedThing, tags: Readonly<Record<string, string>>): Row {
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [columnOfTag(thing, key), value]))
}
