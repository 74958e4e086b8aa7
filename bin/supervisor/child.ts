/**
 * One process of the service: started, logged to a file, started again when it dies, stopped when the service stops.
 * @module
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog } from './log_file.ts'

/** What to run. */
export interface ChildSpec {
  name: string
  command: string
  args: string[]
  environment: Record<string, string | undefined>
  logFile: string
  /** Resolves once the process serves; asked again until it does. */
  isReady: () => Promise<boolean>
}

/** Ready within this time, or the start has failed. */
const readyTimeoutMs = 60_000
/** A process that is told to stop and does not is killed after this time. */
const stopTimeoutMs = 10_000
/** Restarts within a minute after which something is wrong that a restart does not mend. */
const maxRestartsPerMinute = 5

/** Runs one child until {@link stop}. */
export class SupervisedChild {
  readonly spec: ChildSpec
  readonly #say: (line: string) => void
  #process: ChildProcess | undefined
  #stopping = false
  #restarts: number[] = []
  #isKeptAlive = false

  constructor(spec: ChildSpec, say: (line: string) => void) {
    this.spec = spec
    this.#say = say
  }

  /** The process id, while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /**
   * Starts it and waits until it is ready.
   * @throws Error with the end of what this start has logged when it exits or is not ready in time.
   */
  async start(): Promise<void> {
    const { logFile } = this.spec
    const loggedBefore = await stat(logFile).then(
      ({ size }) => size,
      () => 0,
    )
    this.#spawn()
    const deadline = Date.now() + readyTimeoutMs
    while (Date.now() < deadline) {
      if (this.#process === undefined) break
      if (await this.spec.isReady()) return
      await sleep(100)
    }
    this.#stopping = true
    await this.#end()
    throw new Error(
      `Cannot start ${this.spec.name}; the end of ${logFile}:\n${await this.#logTail(loggedBefore)}`,
    )
  }

  /** Tells it to stop, waits, and kills it if it does not. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#end()
  }

  #spawn(): void {
    const { command, args, environment, logFile, name } = this.spec
    const log = openLog(logFile, this.#say)
    // A group of its own, so that Ctrl-C reaches only the supervisor; the death signal, so that killing the supervisor leaves nothing.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.#process = child
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    child.once('error', (error) => log.write(`Cannot run ${command}: ${error.message}\n`))
    child.once('close', (code, signal) => {
      log.end()
      if (this.#process === child) this.#process = undefined
      if (this.#stopping || !this.#isKeptAlive) return
      void this.#restart(`${name} ended with ${signal ?? `code ${code}`}`)
    })
  }

  /** Called once by the supervisor when the whole service is up: from now on a death means a restart. */
  keepAlive(): void {
    this.#isKeptAlive = true
  }

  async #restart(why: string): Promise<void> {
    const now = Date.now()
    this.#restarts = [...this.#restarts.filter((at) => now - at < 60_000), now]
    const delayMs = Math.min(200 * 2 ** (this.#restarts.length - 1), 10_000)
    const often =
      this.#restarts.length > maxRestartsPerMinute ? `; it keeps dying, see ${this.spec.logFile}` : ''
    this.#say(`${why}; starting it again in ${delayMs} ms${often}`)
    await sleep(delayMs)
    if (!this.#stopping) this.#spawn()
  }

  async #end(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const closed = new Promise<void>((resolve) => {
      child.once('close', () => resolve())
    })
    child.kill('SIGTERM')
    const timer = setTimeout(() => {
      this.#say(`${this.spec.name} did not stop within ${stopTimeoutMs / 1000} s and is killed`)
      child.kill('SIGKILL')
    }, stopTimeoutMs)
    await closed
    clearTimeout(timer)
  }

  /** The last lines of the log after its first `fromBytes`: what earlier starts have said may be mended long since. */
  async #logTail(fromBytes: number): Promise<string> {
    const logged = await readFile(this.spec.logFile).catch((error: Error) => error)
    if (logged instanceof Error) return logged.message
    const text = logged.subarray(fromBytes).toString('utf8').trimEnd()
    return text === '' ? 'It has logged nothing' : text.split('\n').slice(-15).join('\n')
  }
}
