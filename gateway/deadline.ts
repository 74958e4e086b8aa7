/**
 * Waiting no longer than a deadline. A client that reconnects for ever waits for ever; a page must not.
 * @module
 */

/** What was waited for has not come in time. */
export class LateError extends Error {
  override name = 'LateError'
}

/** The result of `work`, unless it takes longer than `milliseconds`. @throws LateError naming `what` when it does; whatever `work` throws. */
export async function withDeadline<T>(work: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new LateError(`${what} has not answered within ${milliseconds} ms`)),
      milliseconds,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
