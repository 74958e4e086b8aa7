/**
 * One guestfish process, spoken to over its standard input. It ends by itself when this process ends, however that happens, so no
 * appliance outlives a conversion.
 * @module
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { PermanentError } from '../domain/errors.ts'

/** A command failed inside the appliance, or the appliance itself did. */
export class ApplianceError extends Error {
  override name = 'ApplianceError'
}

/** The appliance is no more, so that nothing can be said of the guest. */
export class ApplianceGoneError extends ApplianceError {
  override name = 'ApplianceGoneError'
}

/** Whether a failure tells something of the guest, rather than of the appliance or of this program. */
export function isAboutGuest(error: unknown): error is ApplianceError {
  return error instanceof ApplianceError && !(error instanceof ApplianceGoneError)
}

/** Most that one command may answer; what is larger is downloaded into a file. */
const maxAnswerBytes = 16 * 1024 * 1024
/** A guestfish that was told to end and has not within this time is killed. */
const endTimeoutMs = 10_000
/** What guestfish says to every command after the appliance has died under it. */
const diedWords = /appliance closed the connection|child process died|call launch before using this function/
/** What guestfish says on its error output without meaning that the command failed. */
const warning = /^(?:\*stdin\*:\d+: )?libguestfs: warning: /

interface Waiting {
  settle(answer: Buffer, words: string): void
  fail(error: Error): void
}

/**
 * An argument as guestfish reads it. Every byte that could mean something to it is written by its number, so names and contents from a
 * guest stay what they are: one argument.
 * @throws ApplianceError for a zero byte, which guestfish cannot be given.
 */
export function quoted(argument: string): string {
  let text = ''
  for (const byte of Buffer.from(argument, 'latin1')) {
    if (byte === 0) throw new ApplianceError('Cannot pass a zero byte to guestfish')
    const character = String.fromCodePoint(byte)
    text += /[\w ./:,=@+-]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${text}"`
}

/** What setpriv(1) exits with when there is no such program. */
const notFoundExitCode = 127

function missingTool(cause: unknown): PermanentError {
  return new PermanentError('Cannot find guestfish: run scripts/setup, which installs it', { cause })
}

/** A running guestfish. Text is Latin-1 in both directions: one character for each byte of the guest. */
export class Guestfish {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #signal: AbortSignal
  readonly #ended: Promise<void>
  #answer: Buffer[] = []
  #answerBytes = 0
  #words = ''
  #waiting: Waiting | undefined
  #marker = ''
  #over: Error | undefined
  #appliancePid: number | undefined
  readonly #onAbort = (): void => this.#giveUp(asError(this.#signal.reason))

  /** Starts the program; the appliance comes with {@link launch}. */
  constructor(environment: Record<string, string | undefined>, signal: AbortSignal) {
    signal.throwIfAborted()
    this.#signal = signal
    // It reads its input only between commands: one whose user was killed would still start an appliance, on disks that are another's by then.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'guestfish'], {
      env: environment,
      stdio: 'pipe',
    })
    this.#child.stdout.on('data', (bytes: Buffer) => this.#receive(bytes))
    this.#child.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.#words += text
      this.#settle()
    })
    // Writing to a program that has just ended fails here, perhaps before its end is known: that tells why, and comes below.
    this.#child.stdin.on('error', () => undefined)
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error: NodeJS.ErrnoException) => {
        this.#finish(error.code === 'ENOENT' ? missingTool(error) : error)
        resolve()
      })
      this.#child.once('close', (code, killedBy) => {
        const words = this.#words.trim()
        if (code === notFoundExitCode) this.#finish(missingTool(words))
        this.#finish(
          new ApplianceGoneError(
            `guestfish ended with ${killedBy ?? `code ${code}`}${words === '' ? '' : `: ${words}`}`,
          ),
        )
        resolve()
      })
    })
    signal.addEventListener('abort', this.#onAbort)
  }

  /** Starts the appliance with the disks added so far. */
  async launch(timeoutMs: number): Promise<void> {
    await this.run(timeoutMs, 'run')
    this.#appliancePid = Number((await this.run(timeoutMs, 'get-pid')).toString('latin1'))
  }

  /**
   * Runs one command and answers with what it prints. One at a time.
   * @throws ApplianceError with libguestfs's own words when the command fails; ApplianceGoneError when it takes longer than `timeoutMs` (the
   *   appliance is ended then), or when the appliance has died; the signal's reason when aborted; PermanentError when guestfish is not
   *   installed.
   */
  async run(timeoutMs: number, command: string, ...args: string[]): Promise<Buffer> {
    if (this.#over !== undefined) throw this.#over
    if (this.#waiting !== undefined) throw new Error(`Cannot run ${command}: another command is running`)
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    // The end of a command is seen by two marks that no guest can guess: printed, and as the name of a command that there is not.
    this.#marker = `end_${randomBytes(16).toString('hex')}`
    this.#waiting = {
      settle: (answer, words) => {
        if (words === '') return resolve(answer)
        const Failure = diedWords.test(words) ? ApplianceGoneError : ApplianceError
        reject(new Failure(`${command} ${args.join(' ').slice(0, 200)}: ${words}`))
      },
      fail: reject,
    }
    const timer = setTimeout(() => {
      this.#giveUp(
        new ApplianceGoneError(
          `${command} ${args.join(' ').slice(0, 200)}: no answer in ${timeoutMs / 1000} s`,
        ),
      )
    }, timeoutMs)
    try {
      const line = [command, ...args.map(quoted)].join(' ')
      this.#child.stdin.write(`-${line}\n-echo ${this.#marker}\n-${this.#marker}\n`)
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = undefined
    }
  }

  /** Ends guestfish and with it the appliance, whatever they are doing, and waits until both are gone. */
  async end(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#giveUp(new ApplianceGoneError('The appliance has been ended'))
    await this.#ended
  }

  /** Closes the input, after which guestfish cleans up and exits; an appliance in the middle of a command is taken from it first. */
  #giveUp(reason: Error): void {
    const isBusy = this.#waiting !== undefined
    this.#finish(reason)
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.stdin.end()
    if (isBusy) {
      if (this.#appliancePid === undefined) this.#child.kill('SIGTERM')
      else killIfAlive(this.#appliancePid)
    }
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), endTimeoutMs)
    this.#child.once('close', () => clearTimeout(timer))
  }

  #finish(error: Error): void {
    this.#over ??= error
    this.#waiting?.fail(this.#over)
  }

  #receive(bytes: Buffer): void {
    this.#answer.push(bytes)
    this.#answerBytes += bytes.length
    if (this.#answerBytes > maxAnswerBytes) {
      this.#giveUp(
        new ApplianceGoneError(`A command inside the appliance answered more than ${maxAnswerBytes} bytes`),
      )
      return
    }
    this.#settle()
  }

  /** Settles the command in hand once both marks are there. */
  #settle(): void {
    if (this.#waiting === undefined) return
    const wordsEnd = this.#words.indexOf(this.#marker)
    if (wordsEnd < 0 || !this.#words.endsWith('\n')) return
    const printed = Buffer.concat(this.#answer)
    const answerEnd = printed.lastIndexOf(`${this.#marker}\n`)
    if (answerEnd < 0) return
    // The mark's own complaint begins at the start of its line, perhaps after the program's name.
    const said = this.#words.slice(0, this.#words.lastIndexOf('\n', wordsEnd) + 1)
    this.#answer = []
    this.#answerBytes = 0
    this.#words = ''
    this.#waiting.settle(printed.subarray(0, answerEnd), errorsIn(said))
  }
}

/** libguestfs's complaints without its prefixes; empty when there are none. */
function errorsIn(said: string): string {
  return said
    .split('\n')
    .filter((line) => line.trim() !== '' && !warning.test(line))
    .map((line) => line.replace(/^(?:\*stdin\*:\d+: )?(?:libguestfs: error: )?/, ''))
    .join('; ')
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
