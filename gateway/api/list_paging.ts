/**
 * Pages of lists by time, oldest or newest first. A token names the last item given, so what comes and goes between two pages makes none of the
 * others appear twice or not at all.
 * @module
 */
import { z } from 'zod'
import { InvalidInputError } from '../../domain/errors.ts'

/** What is said of the parameters of every listing in pages. */
export const pageWords = {
  limit: 'Items of a page, at most',
  nextToken: 'That of the page before; without it, the first page',
} as const

/** What is asked for: how many, and from where on. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100).meta({ description: pageWords.limit }),
  nextToken: z.string().max(200).optional().meta({ description: pageWords.nextToken }),
})

/** A place in the list: creation time, and the id among those of one moment. */
interface Place {
  createdAt: string
  id: string
}

/** Comparing by language rules would take a hundred times as long. */
function inOrder(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1
}

function tokenOf({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

/** The refusal of a token that is not ours. */
export function unreadableToken(): InvalidInputError {
  return new InvalidInputError(
    'nextToken',
    'Cannot read nextToken: use the one of the page before, unchanged, or none for the first page',
  )
}

/** @throws InvalidInputError for what {@link tokenOf} has not made. */
function placeOf(token: string): Place {
  const [createdAt = '', id = ''] = Buffer.from(token, 'base64url').toString().split(' ')
  const place = { createdAt, id }
  if (Number.isNaN(Date.parse(createdAt)) || id === '' || tokenOf(place) !== token) throw unreadableToken()
  return place
}

/** How a list is put in order. */
export interface Listing<T> {
  idOf: (item: T) => string
  /** Else the oldest comes first. */
  isNewestFirst?: boolean
}

/** The page, and the token of the next one where there is any. @throws InvalidInputError for a token that is not ours. */
export function pageOf<T extends { createdAt: string }>(
  all: readonly T[],
  { idOf, isNewestFirst = false }: Listing<T>,
  { limit, nextToken }: z.infer<typeof pageQuery>,
): { items: T[]; nextToken?: string } {
  const last = nextToken === undefined ? undefined : placeOf(nextToken)
  const sign = isNewestFirst ? -1 : 1
  // No object is made for each of thousands of servers: all of them would be garbage a moment later.
  const left = all.filter(
    (item) =>
      last === undefined ||
      sign * (inOrder(item.createdAt, last.createdAt) || inOrder(idOf(item), last.id)) > 0,
  )
  left.sort(
    (one, other) => sign * (inOrder(one.createdAt, other.createdAt) || inOrder(idOf(one), idOf(other))),
  )
  const items = left.slice(0, limit)
  const end = items.at(-1)
  return {
    items,
    ...(end === undefined || left.length <= limit
      ? {}
      : { nextToken: tokenOf({ createdAt: end.createdAt, id: idOf(end) }) }),
  }
}
