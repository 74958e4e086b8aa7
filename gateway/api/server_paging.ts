/**
 * Pages of the list of servers, oldest first. A token names the last server given, so servers that come and go between two pages make none of
 * the others appear twice or not at all.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import { z } from 'zod'
import { InvalidInputError } from '../../domain/errors.ts'

/** What is asked for: how many, and from where on. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  nextToken: z.string().max(200).optional(),
})

/** A place in the list: creation time, and the id among those of one moment. */
type Place = Pick<SourceServer, 'createdAt' | 'sourceServerId'>

/** Comparing by language rules would take a hundred times as long. */
function byPlace(one: Place, other: Place): number {
  if (one.createdAt !== other.createdAt) return one.createdAt < other.createdAt ? -1 : 1
  if (one.sourceServerId === other.sourceServerId) return 0
  return one.sourceServerId < other.sourceServerId ? -1 : 1
}

function tokenOf({ createdAt, sourceServerId }: Place): string {
  return Buffer.from(`${createdAt} ${sourceServerId}`).toString('base64url')
}

/** @throws InvalidInputError for what {@link tokenOf} has not made. */
function placeOf(token: string): Place {
  const [createdAt = '', id = ''] = Buffer.from(token, 'base64url').toString().split(' ')
  const place = { createdAt, sourceServerId: id as SourceServer['sourceServerId'] }
  if (Number.isNaN(Date.parse(createdAt)) || id === '' || tokenOf(place) !== token) {
    throw new InvalidInputError(
      'nextToken',
      'Cannot read nextToken: use the one of the page before, unchanged, or none for the first page',
    )
  }
  return place
}

/** The page, and the token of the next one where there is any. @throws InvalidInputError for a token that is not ours. */
export function pageOf(
  servers: readonly SourceServer[],
  { limit, nextToken }: z.infer<typeof pageQuery>,
): { items: SourceServer[]; nextToken?: string } {
  const last = nextToken === undefined ? undefined : placeOf(nextToken)
  const left = servers.filter((server) => last === undefined || byPlace(server, last) > 0).sort(byPlace)
  const items = left.slice(0, limit)
  const end = items.at(-1)
  return { items, ...(end === undefined || left.length <= limit ? {} : { nextToken: tokenOf(end) }) }
}
