/**
 * Takes profiles: `perf` looks at every processor some hundred times a second.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { errorMessage } from '../domain/errors.ts'
import type { Profile } from './profile.ts'
import { ended, run } from './command.ts'
import { parseSamples, profileOf } from './profile.ts'

const looksPerSecond = 499

/**
 * Until its 'error' event, Node.js signals the process whose id it finds in memory that nobody has set for a child that could not be started:
 * strace has shown an id of nine digits, and 0, which is the sender's own group, has ended a whole run of the tests.
 */
function signalIfStarted(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined) child.kill(signal)
}

/** Takes profiles, and keeps them until they are asked for. */
export class Profiler {
  readonly #folder: string
  readonly #say: (line: string) => void
  readonly #program: string
  #profiles: Profile[] = []

  /** @param program what looks; default: `perf` on the path. */
  constructor(folder: string, say: (line: string) => void, program = 'perf') {
    this.#folder = folder
    this.#say = say
    this.#program = program
  }

  /**
   * Looks while `use` runs. Without `perf` it only runs, which is said.
   * @param pids the processes to name, as they are called; asked when `use` has ended, while they are still there.
   */
  async during<T>(
    what: string,
    use: () => Promise<T>,
    pids: () => Promise<Record<string, number | undefined>>,
  ): Promise<T> {
    const file = join(this.#folder, 'perf.data')
    const args = ['record', '--all-cpus', '--event=cpu-clock', `--freq=${looksPerSecond}`, `--output=${file}`]
    const child = spawn(this.#program, args, { stdio: 'ignore' })
    const end = ended(child).catch((error: unknown) => errorMessage(error))
    const begin = performance.now()
    try {
      const result = await use()
      const seconds = (performance.now() - begin) / 1000
      const names = new Map<number, string>()
      for (const [name, pid] of Object.entries(await pids())) if (pid !== undefined) names.set(pid, name)
      signalIfStarted(child, 'SIGINT')
      await end
      await this.#keep(file, { what, seconds, names })
      return result
    } finally {
      signalIfStarted(child, 'SIGKILL')
      await end
      await rm(file, { force: true })
    }
  }

  /** The profiles taken since they were asked for last. */
  take(): Profile[] {
    const profiles = this.#profiles
    this.#profiles = []
    return profiles
  }

  async #keep(
    file: string,
    about: { what: string; seconds: number; names: Map<number, string> },
  ): Promise<void> {
    try {
      const { stdout } = await run(this.#program, [
        'script',
        '--input',
        file,
        '--fields',
        'pid,tid,ip,sym,dso',
      ])
      const samples = parseSamples(stdout)
      if (samples.length === 0) throw new Error('perf has seen nothing')
      this.#profiles.push(profileOf(samples, { ...about, processors: cpus().length }))
    } catch (error) {
      this.#say(`  No profile of "${about.what}": ${errorMessage(error)}`)
    }
  }
}
