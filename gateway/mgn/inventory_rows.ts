/**
 * The rows of an inventory against what there is: what each names, and everything that is wrong with them, before anything is changed.
 * @module
 */
import { setImmediate } from 'node:timers/promises'
import type { Application, Wave } from '../../domain/application.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TransferError } from '../../domain/transfer.ts'
import type { Services } from '../services.ts'
import type { Account, Quotas } from './account.ts'
import type { Row, TaggedThing } from './inventory_csv.ts'
import type { MgnContext } from './operation.ts'
import { maxTags } from '../../domain/tags.ts'
import { maxErrorLength } from '../../domain/transfer.ts'
import { listAll } from '../../store/listing.ts'
import { description, plainName, tags } from './fields.ts'
import { ToldOfServers } from './inventory_contradictions.ts'
import { firstRow, tagsIn } from './inventory_csv.ts'
import { wrongWithPlatform } from './inventory_platform.ts'

/** Everything that rows can name. */
export interface Inventory {
  servers: readonly SourceServer[]
  applications: readonly Application[]
  waves: readonly Wave[]
}

/** What there is, as the store has it: what is held here may not have heard yet of what others wrote. */
export async function readInventory({ store }: Pick<Services, 'store'>): Promise<Inventory> {
  return {
    servers: await listAll(store, 'server'),
    applications: await listAll(store, 'application'),
    waves: await listAll(store, 'wave'),
  }
}

/** Rows looked at in one turn of the event loop: some milliseconds, in which no heartbeat is answered. */
const rowsAtOnce = 200

/** The longest id that an agent may name, and so the longest to wait for. */
const maxOwnIdLength = 256

/** Servers by their own id and by the one that their users gave them: a file may have a row for each of ten thousand. */
export class ServerIndex {
  readonly #byId = new Map<string, SourceServer>()
  readonly #byOwnId = new Map<string, SourceServer[]>()

  constructor(servers: readonly SourceServer[]) {
    for (const server of servers) this.add(server)
  }

  /** Adds a server that was made since. */
  add(server: SourceServer): void {
    this.#byId.set(server.sourceServerId, server)
    // Servers that nobody gave an id have none in common with a row that has none.
    if (server.userProvidedId === undefined) return
    const same = this.#byOwnId.get(server.userProvidedId)
    if (same === undefined) this.#byOwnId.set(server.userProvidedId, [server])
    else same.push(server)
  }

  /** All that have the id of their users. */
  withOwnId(own: string | undefined): readonly SourceServer[] {
    return own === undefined ? [] : (this.#byOwnId.get(own) ?? [])
  }

  /** The server that a row names, by its id or the one that its users gave it. Undefined when there is none. */
  named(row: Row): SourceServer | undefined {
    const id = row['mgn:server:id']
    return id === undefined ? this.withOwnId(row['mgn:server:user-provided-id'])[0] : this.#byId.get(id)
  }

  /** The id of a server that the row makes known, as there is none yet; undefined when it names one that there is, or none. */
  awaited(row: Row): string | undefined {
    if (row['mgn:server:id'] !== undefined || this.named(row) !== undefined) return undefined
    return row['mgn:server:user-provided-id']
  }

  /** The same for all rows that are one server, by whichever id; undefined when it is not sure which one is meant, or none. */
  keyOf(row: Row): string | undefined {
    const own = row['mgn:server:user-provided-id']
    if (row['mgn:server:id'] === undefined && this.withOwnId(own).length > 1) return undefined
    const server = this.named(row)
    if (server !== undefined) return `known ${server.sourceServerId}`
    const awaited = this.awaited(row)
    return awaited === undefined ? undefined : `awaited ${awaited}`
  }
}

/** Whether tags of the server go to its machines, as a row says. Undefined when it does not say. */
export function copiesTags(row: Row): boolean | undefined {
  const cell = row['mgn:launch:transfer-server-tags']
  return cell === undefined ? undefined : cell.toLowerCase() === 'true'
}

/** Everything that is wrong with the rows; empty when they can be taken. The gateway goes on with other work meanwhile. */
export async function errorsIn(
  rows: readonly Row[],
  inventory: Inventory,
  { account, services }: Pick<MgnContext, 'account' | 'services'>,
): Promise<TransferError[]> {
  const at = services.clock().toISOString()
  const servers = new ServerIndex(inventory.servers)
  const sums = new Sums(inventory, servers, account.quotas)
  const toldOfServers = new ToldOfServers()
  const errors: TransferError[] = []
  for (const [index, row] of rows.entries()) {
    if (index % rowsAtOnce === rowsAtOnce - 1) await setImmediate()
    const rowNumber = index + firstRow
    const serverKey = servers.keyOf(row)
    const contradictions = serverKey === undefined ? [] : toldOfServers.add(serverKey, row, rowNumber)
    for (const rawError of [...sentencesOn(row, servers, account), ...contradictions, ...sums.add(row)])
      errors.push({ at, type: 'VALIDATION_ERROR', rawError: rawError.slice(0, maxErrorLength), rowNumber })
  }
  return errors
}

/** As MGN: a row is for this account and region, and one that names neither is too. */
function wrongWithPlace(row: Row, { accountId, region }: Account): string[] {
  const places = [
    { kind: 'account', column: 'mgn:account-id', own: accountId },
    { kind: 'region', column: 'mgn:region', own: region },
  ]
  return places.flatMap(({ kind, column, own }) => {
    const given = row[column]
    if (given === undefined || given === own) return []
    return [`${kind} ${given} is not this one, ${own}: leave ${column} empty to import the row here`]
  })
}

function sentencesOn(row: Row, servers: ServerIndex, account: Account): string[] {
  const wrong = wrongWithPlace(row, account)
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
  return [...wrong, ...wrongWithServer(row, servers)]
}

function wrongWithServer(row: Row, servers: ServerIndex): string[] {
  const wrong: string[] = []
  const id = row['mgn:server:id']
  const own = row['mgn:server:user-provided-id']
  if (!namesServer(row)) {
    const columns = Object.keys(row).filter((column) => /^mgn:(server|launch):/.test(column))
    if (columns.length > 0)
      wrong.push(`${columns[0]} is of a server and needs mgn:server:id or mgn:server:user-provided-id`)
    return wrong
  }
  const server = servers.named(row)
  if (id !== undefined && server === undefined)
    wrong.push(`there is no server ${id}: leave mgn:server:id out to await a new one`)
  if (id !== undefined && server !== undefined && own !== undefined && own !== server.userProvidedId)
    wrong.push(
      `server ${id} has ${server.userProvidedId === undefined ? 'no id of yours' : `your id ${server.userProvidedId}`}, which stays so: it is not ${own}`,
    )
  const same = servers.withOwnId(own)
  if (id === undefined && same.length > 1)
    wrong.push(
      `${same.map(({ sourceServerId }) => sourceServerId).join(' and ')} have the id ${own}: name one by mgn:server:id`,
    )
  if (own !== undefined && (own.trim() !== own || own.length > maxOwnIdLength))
    wrong.push(`mgn:server:user-provided-id has at most ${maxOwnIdLength} characters and no space around it`)
  const platform = wrongWithPlatform(row, server)
  if (platform !== undefined) wrong.push(platform)
  const fqdn = row['mgn:server:fqdn-for-action-framework']
  if (fqdn !== undefined && !/^[a-z0-9_]([a-z0-9_.-]{0,253}[a-z0-9.])?$/i.test(fqdn))
    wrong.push(`mgn:server:fqdn-for-action-framework is no name of a host: ${fqdn}`)
  const copies = row['mgn:launch:transfer-server-tags']
  if (copies !== undefined && !/^(true|false)$/i.test(copies))
    wrong.push(`mgn:launch:transfer-server-tags is true or false, not ${copies}`)
  return wrong
}

function namesServer(row: Row): boolean {
  return row['mgn:server:id'] !== undefined || row['mgn:server:user-provided-id'] !== undefined
}

/** What the rows come to together with what there is: tags of each thing, and how many things of each kind. */
class Sums {
  readonly #servers: ServerIndex
  readonly #waves: ReadonlyMap<string, Wave>
  readonly #applications: ReadonlyMap<string, Application>
  readonly #quotas: Quotas
  readonly #tagKeys = new Map<string, Set<string>>()
  readonly #counts: Record<'waves' | 'applications' | 'servers', number>

  constructor({ waves, applications, servers }: Inventory, index: ServerIndex, quotas: Quotas) {
    this.#servers = index
    this.#waves = new Map(waves.map((one) => [one.name, one]))
    this.#applications = new Map(applications.map((one) => [one.name, one]))
    this.#quotas = quotas
    this.#counts = {
      waves: waves.length,
      applications: applications.length,
      servers: servers.filter(({ isArchived }) => !isArchived).length,
    }
  }

  /** Adds a row: sentences for what it passes. */
  add(row: Row): string[] {
    const { 'mgn:wave:name': wave, 'mgn:app:name': application } = row
    const server = this.#servers.named(row)
    const serverName = server?.sourceServerId ?? this.#servers.awaited(row)
    return [
      ...this.#addThing(row, 'wave', 'waves', wave, this.#waves.get(wave ?? '')),
      ...this.#addThing(row, 'app', 'applications', application, this.#applications.get(application ?? '')),
      ...this.#addThing(row, 'server', 'servers', serverName, server),
    ]
  }

  #addThing(
    row: Row,
    thing: TaggedThing,
    kind: 'waves' | 'applications' | 'servers',
    name: string | undefined,
    known: { tags: Record<string, string> } | undefined,
  ): string[] {
    if (name === undefined) return []
    const wrong: string[] = []
    const key = `${kind} ${name}`
    const keys = this.#tagKeys.get(key) ?? new Set(Object.keys(known?.tags ?? {}))
    if (known === undefined && !this.#tagKeys.has(key)) {
      this.#counts[kind] += 1
      const quota = this.#quotas[kind]
      if (this.#counts[kind] > quota)
        wrong.push(`${name} would be one more than the limit of ${kind}, ${quota}`)
    }
    this.#tagKeys.set(key, keys)
    const before = keys.size
    for (const tag of Object.keys(tagsIn(row, thing))) keys.add(tag)
    if (keys.size > maxTags && keys.size > before)
      wrong.push(
        `${name} would have ${keys.size} tags with those that it has; at most ${maxTags} are allowed`,
      )
    return wrong
  }
}
