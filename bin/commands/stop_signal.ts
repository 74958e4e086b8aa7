/**
 * How a command that runs on and on is told to end.
 * @module
 */

/**
 * Aborted by the first SIGINT, SIGTERM or SIGHUP (the terminal is closed). More of them change nothing, for what was begun must be ended
 * in order, and npm sends on the Ctrl-C that the terminal has sent to this process already.
 */
export function stopSignal(): AbortSignal {
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => abort.abort(new Error(`Stopped by ${name}`)))
  }
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreLostReader)
  return abort.signal
}

/** Resolves once `signal` is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Nobody is left to read what is said, as after the terminal is closed: no reason to break off the work or the stopping. */
function ignoreLostReader(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
}
