/**
 * One libguestfs appliance with the guest's disks: the guest's file systems are read by a kernel of their own, never by this host's.
 * @module
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PermanentError } from '../domain/errors.ts'
import type { DiskToConvert } from './types.ts'

/** How an appliance is run. */
export interface ApplianceSettings {
  /** A folder of our own for the appliance's cache and for files on their way. */
  workDir: string
  /** No hardware virtualization: do not even try. */
  forceTcg: boolean
  environment: Record<string, string | undefined>
}

/** A command inside the appliance that takes longer has hung: the slowest, rebuilding an initial RAM disk without KVM, takes minutes. */
const commandTimeoutMs = 900_000
/** An appliance starts in seconds, without KVM in half a minute. */
const launchTimeoutMs = 240_000
/** Most of a text file that is read. */
const maxTextBytes = 4 * 1024 * 1024

/** Raised when a command inside the appliance fails: its own words, and which command. */
export class ApplianceError extends Error {
  override name = 'ApplianceError'
}

interface Output {
  code: number
  stdout: string
  stderr: string
}

/** A running appliance. */
export class Appliance {
  readonly #settings: ApplianceSettings
  readonly #folder: string
  readonly #pid: number
  readonly #signal: AbortSignal

  private constructor(settings: ApplianceSettings, folder: string, pid: number, signal: AbortSignal) {
    this.#settings = settings
    this.#folder = folder
    this.#pid = pid
    this.#signal = signal
  }

  /**
   * Starts one with the disks in the order given.
   * @throws PermanentError when guestfish is not installed; ApplianceError when it does not start.
   */
  static async start(disks: readonly DiskToConvert[], settings: ApplianceSettings, signal: AbortSignal): Promise<Appliance> {
    await mkdir(settings.workDir, { recursive: true, mode: 0o700 })
    await mkdir(join(settings.workDir, 'cache'), { recursive: true, mode: 0o700 })
    const folder = await mkdtemp(join(settings.workDir, 'appliance-'))
    const drives = disks.flatMap(({ path, format }) => [`--format=${format}`, '--add', path])
    try {
      const { code, stdout, stderr } = await execute('guestfish', ['--listen', ...drives], environmentOf(settings), signal, launchTimeoutMs)
      const pid = Number(/GUESTFISH_PID=(\d+)/.exec(stdout)?.[1])
      if (code !== 0 || !Number.isInteger(pid)) throw new ApplianceError(`Cannot open the disks: ${stderr.trim() || stdout.trim()}`)
      const appliance = new Appliance(settings, folder, pid, signal)
      try {
        await appliance.run('run')
      } catch (error) {
        await appliance.stop()
        throw error
      }
      return appliance
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Runs one command. Arguments are passed as they are, never through a shell. @throws ApplianceError with its words. */
  async run(command: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await execute(
      'guestfish',
      [`--remote=${this.#pid}`, '--', command, ...args],
      environmentOf(this.#settings),
      this.#signal,
      command === 'run' ? launchTimeoutMs : commandTimeoutMs,
    )
    if (code !== 0) throw new ApplianceError(`${command} ${args.join(' ')} failed: ${stderr.trim() || `exit code ${code}`}`)
    return stdout
  }

  /** As {@link run}, with the answer cut into lines. */
  async lines(command: string, ...args: string[]): Promise<string[]> {
    return (await this.run(command, ...args)).split('\n').filter((line) => line !== '')
  }

  /** A question with true or false for an answer. */
  async asks(command: string, ...args: string[]): Promise<boolean> {
    return (await this.run(command, ...args)).trim() === 'true'
  }

  /** The file as text; undefined when it is no regular file. @throws ApplianceError when it is larger than a configuration file can be. */
  async text(path: string): Promise<string | undefined> {
    if (!(await this.asks('is-file', path, 'followsymlinks:true'))) return undefined
    const size = Number((await this.run('filesize', path)).trim())
    if (size > maxTextBytes) throw new ApplianceError(`${path} has ${size} bytes: too many for a configuration file`)
    return (await this.bytes(path)).toString('utf8')
  }

  /** The file as bytes. */
  async bytes(path: string): Promise<Buffer> {
    const local = join(this.#folder, 'download')
    await this.run('download', path, local)
    const content = await readFile(local)
    await rm(local)
    return content
  }

  /** Writes a file with mode `mode`, its folder made if it is missing. */
  async write(path: string, text: string, mode: number | undefined): Promise<void> {
    const local = join(this.#folder, 'upload')
    await writeFile(local, text)
    await this.run('mkdir-p', path.slice(0, path.lastIndexOf('/')) || '/')
    await this.run('upload', local, path)
    if (mode !== undefined) await this.run('chmod', `0${mode.toString(8)}`, path)
    await rm(local)
  }

  /** Flushes everything to the disks and ends the appliance. @throws ApplianceError when flushing fails. */
  async finish(): Promise<void> {
    await this.run('umount-all')
    await this.run('shutdown')
    await this.stop()
  }

  /** Ends the appliance whatever it is doing. */
  async stop(): Promise<void> {
    const options = environmentOf(this.#settings)
    await execute('guestfish', [`--remote=${this.#pid}`, '--', 'exit'], options, AbortSignal.timeout(5000), 5000).catch(() => this.#kill())
    await rm(this.#folder, { recursive: true, force: true })
  }

  #kill(): Output {
    try {
      process.kill(this.#pid, 'SIGTERM')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
    return { code: 0, stdout: '', stderr: '' }
  }
}

function environmentOf(settings: ApplianceSettings): Record<string, string | undefined> {
  return {
    ...settings.environment,
    LIBGUESTFS_BACKEND: 'direct',
    ...(settings.forceTcg ? { LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' } : {}),
    LIBGUESTFS_CACHEDIR: join(settings.workDir, 'cache'),
    TMPDIR: settings.workDir,
    LC_ALL: 'C.UTF-8',
  }
}

/** Runs a program to its end. @throws PermanentError when it is not installed, and the signal's reason when aborted. */
function execute(
  program: string,
  args: string[],
  environment: Record<string, string | undefined>,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], signal, timeout: timeoutMs })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') reject(new PermanentError(`Cannot find ${program}: run scripts/setup, which installs it`, { cause: error }))
      else reject(signal.aborted ? signal.reason : error)
    })
    // The appliance goes on in the background with these pipes open, so the program's end is 'exit', not 'close'.
    child.once('exit', (code, killedBy) => {
      child.stdout.destroy()
      child.stderr.destroy()
      if (killedBy !== null) reject(new ApplianceError(`${args.slice(-2).join(' ')} was ended by ${killedBy} after ${timeoutMs / 1000} s at most`))
      else resolve({ code: code ?? 1, stdout, stderr })
    })
  })
}
