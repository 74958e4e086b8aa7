/**
 * Headers of a signed request: found by name, and as they stand in what is signed.
 * @module
 */
import { AccessError } from './access_error.ts'

/** The headers of a request by their lower-case names. */
export class RequestHeaders {
  readonly #values = new Map<string, string[]>()

  constructor(headers: readonly (readonly [string, string])[]) {
    for (const [name, value] of headers) {
      const key = name.toLowerCase()
      const known = this.#values.get(key)
      if (known === undefined) this.#values.set(key, [value])
      else known.push(value)
    }
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /**
   * The value of a header that says who asks, or of what.
   * @throws AccessError when it came twice: two readers could take two different ones for it.
   */
  one(name: string): string | undefined {
    const [value, second] = this.#values.get(name) ?? []
    if (second !== undefined)
      throw new AccessError(
        'IncompleteSignatureException',
        `The header ${name} came more than once; send it once`,
      )
    return value
  }

  /** All values as they are signed: trimmed, runs of white space as one space, commas between them. */
  canonical(name: string): string {
    const values = this.#values.get(name) ?? []
    return values.map((value) => value.trim().replace(/\s+/g, ' ')).join(',')
  }
}
