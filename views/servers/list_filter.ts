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

/** Whether every word of `query` stands somewhere in what is known of the server. */
function matchesQuery(server: SourceServer, query: string): boolean {
  const { hostname, fqdn } = server.sourceProperties.identificationHints
  const tags = Object.entries(server.tags).map(([name, value]) => `${name}=${value}`)
  const addresses = server.sourceProperties.networkInterfaces.flatMap(({ ips }) => ips)
  const text = [
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
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
