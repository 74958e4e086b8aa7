/**
 * Waiting for several things that use the same memory.
 * @module
 */

/** Like `Promise.all`, but settles only when everything has: what one of them still reads or writes must not be given back before. */
export async function allDone<const T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const outcomes = await Promise.allSettled(work)
  const values = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
  return values as { -readonly [K in keyof T]: Awaited<T[K]> }
}
