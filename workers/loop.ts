/**
 * Something done again and again, with a pause, until it is stopped.
 * @module
 */
import { errorMessage } from '../domain/errors.ts'

/** A running loop. */
export interface Loop {
  /** Stops and waits for the round under way. */
  stop(): Promise<void>
}

/**
 * Runs `round` now and then every `intervalMs`, or later when rounds take long: they never fill more than a tenth of the time. The loop
 * goes on after a round that fails; `trouble` hears of it once for each reason, not at every round of an outage.
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
  let told: string | undefined
  const running = (async () => {
    while (!state.isStopped) {
      const begunMs = performance.now()
      try {
        await round()
        told = undefined
      } catch (error) {
        const message = errorMessage(error)
        if (message !== told) trouble(error)
        told = message
      }
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
