/**
 * The rows of an inventory against what there is: what each names, and everything that is wrong with them, before anything is changed.
 * @module
 */
import type { Application, Wave } from '../../domain/application.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TransferError } from '../../domain/transfer.ts'
import type { Services } from '../services.ts'
import type { Quotas } from './account.ts'
import type { Row, TaggedThing } from './inventory_csv.ts'
import type { MgnContext } from './operation.ts'
import { maxTags } from '../../domain/tags.ts'
import { maxErrorLength } from '../../domain/transfer.ts'
import { listAll } from '../../store/listing.ts'
import { description, plainName, tags } from './fields.ts'
import { tagsIn } from './inventory_csv.ts'

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

/** The header is row 1. */
export const firstRow = 2

/** The longest id that an agent may name, and so the longest to wait for. */
const maxOwnIdLength = 256

/** The server that a row names, by its id or the one that its users gave it. Undefined when there is none. */
export function serverIn(row: Row, servers: readonly SourceServer[]): SourceServer | undefined {
  const id = row['mgn:server:id']
  if (id !== undefined) return servers.find(({ sourceServerId }) => sourceServerId === id)
  const own = row['mgn:server:user-provided-id']
  // Servers that nobody gave an id have none in common with a row that has none.
  return own === undefined ? undefined : servers.find(({ userProvidedId }) => userProvidedId === own)
}

/** The id of a server that the row makes known, as there is none yet; undefined when it names one that there is, or none. */
export function awaitedIn(row: Row, servers: readonly SourceServer[]): string | undefined {
  if (row['mgn:server:id'] !== undefined || serverIn(row, servers) !== undefined) return undefined
  return row['mgn:server:user-provided-id']
}

/** Whether tags of the server go to its machines, as a row says. Undefined when it does not say. */
export function copiesTags(row: Row): boolean | undefined {
  const cell = row['mgn:launch:transfer-server-tags']
  return cell === undefined ? undefined : cell.toLowerCase() === 'true'
}

/** Everything that is wrong with the rows; empty when they can be taken. */
export function errorsIn(
  rows: readonly Row[],
  inventory: Inventory,
  { account, services }: Pick<MgnContext, 'account' | 'services'>,
): TransferError[] {
  const at = services.clock().toISOString()
  const sums = new Sums(inventory, account.quotas)
  return rows.flatMap((row, index) => {
    const sentences = [...sentencesOn(row, inventory.servers, account.accountId), ...sums.add(row)]
    return sentences.map((rawError) => ({
      at,
      type: 'VALIDATION_ERROR' as const,
      rawError: rawError.slice(0, maxErrorLength),
      rowNumber: index + firstRow,
    }))
  })
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
  return [...wrong, ...wrongWithServer(row, servers)]
}

function wrongWithServer(row: Row, servers: readonly SourceServer[]): string[] {
  const wrong: string[] = []
  const id = row['mgn:server:id']
  const own = row['mgn:server:user-provided-id']
  if (!namesServer(row)) {
    const columns = Object.keys(row).filter((column) => /^mgn:(server|launch):/.test(column))
    if (columns.length > 0)
      wrong.push(`${columns[0]} is of a server and needs mgn:server:id or mgn:server:user-provided-id`)
    return wrong
  }
  const server = serverIn(row, servers)
  if (id !== undefined && server === undefined)
    wrong.push(`there is no server ${id}: leave mgn:server:id out to await a new one`)
  if (id !== undefined && server !== undefined && own !== undefined && own !== server.userProvidedId)
    wrong.push(
      `server ${id} has ${server.userProvidedId === undefined ? 'no id of yours' : `your id ${server.userProvidedId}`}, which stays so: it is not ${own}`,
    )
  const same = servers.filter(({ userProvidedId }) => userProvidedId === own)
  if (id === undefined && same.length > 1)
    wrong.push(
      `${same.map(({ sourceServerId }) => sourceServerId).join(' and ')} have the id ${own}: name one by mgn:server:id`,
    )
  if (own !== undefined && (own.trim() !== own || own.length > maxOwnIdLength))
    wrong.push(`mgn:server:user-provided-id has at most ${maxOwnIdLength} characters and no space around it`)
  const platform = row['mgn:server:platform']
  if (platform !== undefined && !/^(linux|windows|unknown)$/i.test(platform))
    wrong.push(`mgn:server:platform is linux or windows, not ${platform}`)
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
  readonly #inventory: Inventory
  readonly #quotas: Quotas
  readonly #tagKeys = new Map<string, Set<string>>()
  readonly #counts: Record<'waves' | 'applications' | 'servers', number>

  constructor(inventory: Inventory, quotas: Quotas) {
    this.#inventory = inventory
    this.#quotas = quotas
    const { waves, applications, servers } = inventory
    this.#counts = {
      waves: waves.length,
      applications: applications.length,
      servers: servers.filter(({ isArchived }) => !isArchived).length,
    }
  }

  /** Adds a row: sentences for what it passes. */
  add(row: Row): string[] {
    const { waves, applications, servers } = this.#inventory
    const wave = row['mgn:wave:name']
    const application = row['mgn:app:name']
    const server = serverIn(row, servers)
    const serverName = server?.sourceServerId ?? awaitedIn(row, servers)
    return [
      ...this.#addThing(
        row,
        'wave',
        'waves',
        wave,
        waves.find(({ name }) => name === wave),
      ),
      ...this.#addThing(
        row,
        'app',
        'applications',
        application,
        applications.find(({ name }) => name === application),
      ),
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
