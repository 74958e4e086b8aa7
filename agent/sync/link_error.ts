/**
 * The error of a connection to a replication server: what failed lies between the two machines, or at the far one, and not in this one.
 * @module
 */

/** Trouble with the connection; what was on its way is sent again over the next. */
export class LinkError extends Error {
  override name = 'LinkError'
  /** Advice better than the general one; undefined when there is none. */
  readonly whatToDo: string | undefined

  constructor(message: string, options?: ErrorOptions & { whatToDo?: string }) {
    super(message, options)
    this.whatToDo = options?.whatToDo
  }
}
