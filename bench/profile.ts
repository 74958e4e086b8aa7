/**
 * Where the processor time goes while something is measured: `perf` looks at every processor some hundred times a second. A figure that misses its
 * budget is explained by it.
 * @module
 */
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ended, run } from './command.ts'
import { errorMessage } from '../domain/errors.ts'

/** Shares of the time of all processors. */
export interface Profile {
  /** What was going on. */
  what: string
  seconds: number
  /** Columns: who used the time. */
  processes: string[]
  /** Rows: for what; one figure for each of `processes`, in percent. */
  kinds: { name: string; percents: number[] }[]
}

/** One look at one processor. */
interface Sample {
  pid: number
  symbol: string
  program: string
}

const looksPerSecond = 499
const idle = 'nothing: idle'

/** By what a function's name says; the first that matches counts. */
const kernelKinds: readonly [RegExp, string][] = [
  [/copy|clear_page|memcpy|memset|iov_iter/, 'kernel: copying'],
  [
    /tcp|skb|sock|inet|net_|napi|veth|tbf|loopback|softirq|^ip_|^__ip|^dev_|^__dev|csum|qdisc/,
    'kernel: network',
  ],
  [
    /folio|filemap|shmem|btrfs|ext4|vfs|fsync|xas_|page|lruvec|loop_|blk_|bio_|iomap/,
    'kernel: files and memory',
  ],
  [/./, 'kernel: switching between threads, and the rest'],
]
const programKinds: readonly [RegExp, string][] = [
  [/blake3/i, 'hashing (BLAKE3)'],
  [/aes|gcm|ghash|chacha|poly1305|ossl_|EVP_|SSL_|tls_|CRYPTO_|sha\d+_/i, 'encryption (TLS)'],
  [/ZSTD|HUF_|FSE_|HIST_/, 'compression (zstd)'],
  [/Scaveng|Marking|MarkCompact|Sweep|Evacuat|v8::internal::Heap|BackingStore/, 'collecting garbage'],
  [/memmove|memcpy|memset|memcmp/, 'copying and comparing in memory'],
  [/^Builtins_|^\[unknown\]|^Lazy|^JS:/, 'JavaScript'],
  [/./, 'Node.js, and the rest'],
]

/** What a function does. */
export function kindOf({ symbol, program }: Pick<Sample, 'symbol' | 'program'>): string {
  const isKernel = program.startsWith('[') && !program.startsWith('[unknown')
  const kinds = isKernel ? kernelKinds : programKinds
  const text = isKernel ? symbol : `${symbol} ${/blake/.test(program) ? 'blake3' : ''}`
  return kinds.find(([pattern]) => pattern.test(text))?.[1] ?? 'unknown'
}

/** Samples out of `perf script -F pid,ip,sym,dso`. */
export function parseSamples(text: string): Sample[] {
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*(\d+)\s+[0-9a-f]+ (.+) \(([^()]*)\)$/.exec(line)
    if (match === null) continue
    const [, pid = '', symbol = '', program = ''] = match
    samples.push({ pid: Number(pid), symbol, program })
  }
  return samples
}

/** Shares of the samples; whoever is not in `names` is everything else. Rows of less than half a percent go together. */
export function profileOf(
  samples: readonly Sample[],
  about: { what: string; seconds: number; names: ReadonlyMap<number, string> },
): Profile {
  const { what, seconds, names } = about
  const processes = [...new Set(names.values()), 'everything else']
  const counts = new Map<string, number[]>()
  for (const sample of samples) {
    const kind = sample.pid === 0 ? idle : kindOf(sample)
    const row = counts.get(kind) ?? processes.map(() => 0)
    const column = processes.indexOf(names.get(sample.pid) ?? 'everything else')
    row[column] = (row[column] ?? 0) + 1
    counts.set(kind, row)
  }
  const kinds = [...counts]
    .map(([name, row]) => ({ name, percents: row.map((count) => (count / samples.length) * 100) }))
    .toSorted((left, right) => sumOf(right.percents) - sumOf(left.percents))
  return { what, seconds, processes, kinds: kinds.filter(({ percents }) => sumOf(percents) >= 0.5) }
}

/** Sum of the figures of a row. */
export function sumOf(percents: readonly number[]): number {
  return percents.reduce((sum, percent) => sum + percent, 0)
}

/** Takes profiles, and keeps them until they are asked for. */
export class Profiler {
  readonly #folder: string
  readonly #say: (line: string) => void
  #profiles: Profile[] = []

  constructor(folder: string, say: (line: string) => void) {
    this.#folder = folder
    this.#say = say
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
    const child = spawn('perf', args, { stdio: 'ignore' })
    const end = ended(child).catch((error: unknown) => errorMessage(error))
    const begin = performance.now()
    try {
      const result = await use()
      const seconds = (performance.now() - begin) / 1000
      const names = new Map<number, string>()
      for (const [name, pid] of Object.entries(await pids())) if (pid !== undefined) names.set(pid, name)
      child.kill('SIGINT')
      await end
      await this.#keep(file, { what, seconds, names })
      return result
    } finally {
      child.kill('SIGKILL')
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
      const { stdout } = await run('perf', ['script', '--input', file, '--fields', 'pid,ip,sym,dso'])
      const samples = parseSamples(stdout)
      if (samples.length === 0) throw new Error('perf has seen nothing')
      this.#profiles.push(profileOf(samples, about))
    } catch (error) {
      this.#say(`  No profile of "${about.what}": ${errorMessage(error)}`)
    }
  }
}
