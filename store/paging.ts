/**
 * Cursors and page sizes, the same for every implementation.
 * @module
 */
import { InvalidInputError } from '../domain/errors.ts'

/** Items on a page when the caller does not say. */
export const defaultPageSize = 100
/** The most items on a page. */
export const maxPageSize = 1000

/** The page size asked for. @throws InvalidInputError when it is not from 1 to {@link maxPageSize}. */
export function pageSize(limit = defaultPageSize): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPageSize) {
    throw new InvalidInputError('limit', `Cannot list ${limit} items a page: ask for 1 to ${maxPageSize}`)
  }
  return limit
}

/** A cursor that names the last item given. */
export function encodeCursor(lastId: string): string {
  return Buffer.from(lastId).toString('base64url')
}

/** The item a cursor names. @throws InvalidInputError when it was not made by {@link encodeCursor}. */
export function decodeCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString()
  if (id === '' || encodeCursor(id) !== cursor) {
    throw new InvalidInputError('cursor', 'Cannot read the cursor: use the one of the page before, unchanged')
  }
  return id
}
