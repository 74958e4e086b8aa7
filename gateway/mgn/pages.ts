/**
 * Answers in pages: `items`, and `nextToken` where there are more. A token names the last item given, so that what comes and goes between two
 * pages makes none of the others appear twice or not at all.
 * @module
 */
import { wrongFields } from './mgn_error.ts'

/** What is asked for. */
export interface WantedPage {
  maxResults?: number | undefined
  nextToken?: string | undefined
}

const standardResults = 1000

/** A token of ours begins so, so that another text is told from it. */
const mark = 'rehost1:'

/**
 * A page of `items`, in the order of their keys, which must be unique.
 * @throws MgnError for a token that is none of ours.
 */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { maxResults = standardResults, nextToken }: WantedPage,
): { items: T[]; nextToken?: string } {
  const last = nextToken === undefined ? undefined : keyIn(nextToken)
  const keyed = items.map((item) => ({ item, key: keyOf(item) }))
  const left = keyed
    .filter(({ key }) => last === undefined || key > last)
    .sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0))
  const page = left.slice(0, maxResults)
  const end = page.at(-1)
  return {
    items: page.map(({ item }) => item),
    ...(end === undefined || left.length <= page.length ? {} : { nextToken: tokenOf(end.key) }),
  }
}

function tokenOf(key: string): string {
  return Buffer.from(mark + key).toString('base64url')
}

function keyIn(token: string): string {
  const text = Buffer.from(token, 'base64url').toString()
  if (text.startsWith(mark) && tokenOf(text.slice(mark.length)) === token) return text.slice(mark.length)
  throw wrongFields([{ name: 'nextToken', message: 'must be the token of the page before, unchanged' }])
}
