/**
 * How many calls programs have made of this gateway since it started, and what became of them.
 * @module
 */

/** The two APIs for programs. */
export const countedApis = ['v1', 'mgn'] as const
export type CountedApi = (typeof countedApis)[number]

/** Statuses by their first digit. */
export const statusClasses = ['2xx', '3xx', '4xx', '5xx'] as const

/** Counts. */
export class ApiCounts {
  readonly #calls = new Map<string, number>()
  readonly #limited = new Map<CountedApi, number>()

  /** A call was answered with `status`. */
  note(api: CountedApi, status: number): void {
    const key = `${api} ${Math.floor(status / 100)}xx`
    this.#calls.set(key, (this.#calls.get(key) ?? 0) + 1)
  }

  /** A call was refused because its caller makes too many; {@link ApiCounts.note} counts it too. */
  noteLimited(api: CountedApi): void {
    this.#limited.set(api, this.limited(api) + 1)
  }

  /** Calls answered with a status of `statusClass`. */
  calls(api: CountedApi, statusClass: (typeof statusClasses)[number]): number {
    return this.#calls.get(`${api} ${statusClass}`) ?? 0
  }

  /** Calls refused because their callers make too many. */
  limited(api: CountedApi): number {
    return this.#limited.get(api) ?? 0
  }
}
