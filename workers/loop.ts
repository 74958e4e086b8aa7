/**
 * Something done again and again, with a pause, until it is stopped.
 * @module
 */

/** A running loop. */
export interface Loop {
  /** Stops and waits for the round under way. */
  stop(): Promise<void>
}

/**
 * Runs `round` now and then every `intervalMs`, or later when rounds take long: they never fill more than a tenth of the time. `trouble`
 * hears of rounds that fail; the loop goes on.
 */
export function startLoop(
  intervalMs: number,
  round: () => Promise<void>,
  trouble: (error: unknown) => void,
): Loop {
  const state: { isStopped: boolean; wakeUp: () => void } = { isStopped: false, wakeUp: () => undefined }
  const pause = (pauseMs: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, pauseMs)
      state.wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const running = (async () => {
    while (!state.isStopped) {
      const begunMs = performance.now()
      await round().catch(trouble)
      if (!state.isStopped) await pause(Math.max(intervalMs, 9 * (performance.now() - begunMs)))
    }
  })()
  return {
    stop: async () => {
      state.isStopped = true
      state.wakeUp()
      await running
    },
  }
}
