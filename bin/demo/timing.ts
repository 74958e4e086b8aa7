/**
 * Named steps and how long each took.
 * @module
 */

/** Collects the steps of the summary. */
export class StepTimer {
  readonly steps: { name: string; seconds: number }[] = []
  readonly #now: () => number
  readonly #say: (line: string) => void
  readonly #begun: number

  /** @param now milliseconds of a clock that is never set */
  constructor(now: () => number, say: (line: string) => void) {
    this.#now = now
    this.#say = say
    this.#begun = now()
  }

  /** Seconds since this was made. Less than all steps together where steps overlapped. */
  get elapsedSeconds(): number {
    return (this.#now() - this.#begun) / 1000
  }

  /** Runs `work`, says what begins and how long it took, and keeps the time; steps may overlap. Errors pass through. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const begun = this.#now()
    this.#say(`▶ ${name}`)
    const result = await work()
    const seconds = (this.#now() - begun) / 1000
    this.steps.push({ name, seconds: Number(seconds.toFixed(2)) })
    this.#say(`✔ ${name}: ${seconds.toFixed(1)} s`)
    return result
  }
}
