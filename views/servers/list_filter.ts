/**
 * Which servers the list shows. All of it stands in the address of the page.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'

/** What is asked for. */
export interface ListFilter {
  view: 'active' | 'attention' | 'archived'
  query: string
  /** From 1. */
  page: number
}

/** The address of a list: what is as usual is left out. */
export function listAddress(path: string, { view, query, page }: ListFilter): string {
  const parameters = new URLSearchParams({
    ...(view === 'active' ? {} : { view }),
    ...(query === '' ? {} : { q: query }),
    ...(page === 1 ? {} : { page: String(page) }),
  })
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}

/** Whether `server` belongs to what `filter` asks for, whatever the page. */
export function matchesFilter(
  server: SourceServer,
  filter: ListFilter,
  needsAttention: (server: SourceServer) => boolean,
): boolean {
  if (server.isArchived !== (filter.view === 'archived')) return false
  if (filter.view === 'attention' && !needsAttention(server)) return false
  return filter.query === '' || matchesQuery(server, filter.query)
}

/** What can be found of each server. A record is never changed, only replaced, so its text stays good as long as it lives. */
const texts = new WeakMap<SourceServer, string>()

function textOf(server: SourceServer): string {
  const { hostname, fqdn } = server.sourceProperties.identificationHints
  const tags = Object.entries(server.tags).map(([name, value]) => `${name}=${value}`)
  const addresses = server.sourceProperties.networkInterfaces.flatMap(({ ips }) => ips)
  return [
    server.sourceServerId,
    hostname,
    fqdn,
    server.sourceProperties.os.fullString,
    server.lifecycle.state,
    server.replication.state,
    server.userProvidedId ?? '',
    ...addresses,
    ...tags,
  ]
    .join(' ')
    .toLowerCase()
}

/** Whether every word of `query` stands somewhere in what is known of the server. */
function matchesQuery(server: SourceServer, query: string): boolean {
  const text = texts.get(server) ?? textOf(server)
  texts.set(server, text)
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
