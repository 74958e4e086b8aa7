/**
 * The table that `rehost servers` prints.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import { columnLines } from './columns.ts'

/** What is wrong with replication that is not over, and what to do. */
function problemOf({ replication: { state, error } }: SourceServer): string {
  if (error === undefined || state === 'DISCONNECTED') return ''
  return `${error.error}: ${error.rawError}. ${error.whatToDo}`
}

/** The listing, with columns for the ids that users gave their servers, and for problems, when there are any. */
export function listingLines(servers: readonly SourceServer[]): string[] {
  const hasOwnIds = servers.some(({ userProvidedId }) => userProvidedId !== undefined)
  const hasProblems = servers.some((server) => problemOf(server) !== '')
  const rows = servers.map((server) => [
    server.sourceServerId,
    ...(hasOwnIds ? [server.userProvidedId ?? ''] : []),
    server.sourceProperties.identificationHints.hostname,
    server.lifecycle.state,
    server.replication.state,
    server.lifecycle.lastSeenByServiceAt ?? '',
    ...(hasProblems ? [problemOf(server)] : []),
  ])
  const ownId = hasOwnIds ? ['YOUR ID'] : []
  const problem = hasProblems ? ['PROBLEM'] : []
  return columnLines([
    ['SERVER', ...ownId, 'HOST', 'LIFECYCLE', 'REPLICATION', 'LAST SEEN', ...problem],
    ...rows,
  ])
}
