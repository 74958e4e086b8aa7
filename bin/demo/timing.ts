/**
 * Named steps and how long each took.
 * @module
 */

/** Collects the steps of the summary. */
export class StepTimer {
  readonly steps: { name: string; seconds: number }[] = []
  readonly #now: () => number
  readonly #say: (line: string) => void

  constructor(now: () => number, say: (line: string) => void) {
    this.#now = now
    this.#say = say
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
