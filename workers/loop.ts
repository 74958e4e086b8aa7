/**
 * Something done again and again, with a pause, until it is stopped; earlier when nudged.
 * @module
 */

/** A running loop. */
export interface Loop {
  /** Does it now, or as soon as the round under way has ended. */
  nudge(): void
  /** Stops and waits for the round under way. */
  stop(): Promise<void>
}

/** Runs `round` now and then every `intervalMs`. `trouble` hears of rounds that fail; the loop goes on. */
export function startLoop(intervalMs: number, round: () => Promise<void>, trouble: (error: unknown) => void): Loop {
  let isStopped = false
  let wakeUp: () => void = () => undefined
  let isNudged = false
  const running = (async () => {
    while (!isStopped) {
      isNudged = false
      await round().catch(trouble)
      if (isStopped || isNudged) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs)
        wakeUp = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  })()
  return {
    nudge: () => {
      isNudged = true
      wakeUp()
    },
    stop: async () => {
      isStopped = true
      wakeUp()
      await running
    },
  }
}
