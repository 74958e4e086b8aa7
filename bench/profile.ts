/**
 * Where the processor time goes, as samples show it: who used it, and for what. A figure that misses its budget is explained by it.
 * @module
 */
import { sum } from './row.ts'

/** Shares of the time of all processors. */
export interface Profile {
  /** What was going on. */
  what: string
  seconds: number
  /** Columns: who used the time. */
  processes: string[]
  /** Rows: for what; one figure for each of `processes`, in percent. */
  kinds: { name: string; percents: number[] }[]
  /** Of each named process the thread that ran most, in percent of one processor: one near 100 is what bounds the rest. */
  busiestThreads?: { process: string; percent: number }[] | undefined
}

/** One look at one processor. */
export interface Sample {
  pid: number
  tid: number
  symbol: string
  program: string
}

const idle = 'nothing: idle'
/** Rows of less go together. */
const leastPercent = 0.5

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

/** Samples out of `perf script -F pid,tid,ip,sym,dso`. */
export function parseSamples(text: string): Sample[] {
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*(\d+)\/(\d+)\s+[0-9a-f]+ (.+) \(([^()]*)\)$/.exec(line)
    if (match === null) continue
    const [, pid = '', tid = '', symbol = '', program = ''] = match
    samples.push({ pid: Number(pid), tid: Number(tid), symbol, program })
  }
  return samples
}

/** Shares of the samples; whoever is not in `names` is everything else. Rows of less than {@link leastPercent} go together. */
export function profileOf(
  samples: readonly Sample[],
  about: { what: string; seconds: number; names: ReadonlyMap<number, string>; processors: number },
): Profile {
  const { what, seconds, names, processors } = about
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
    .toSorted((left, right) => sum(right.percents) - sum(left.percents))
  const large = kinds.filter(({ percents }) => sum(percents) >= leastPercent)
  const small = kinds.slice(large.length)
  const rest = processes.map((_, column) => sum(small.map(({ percents }) => percents[column] ?? 0)))
  return {
    what,
    seconds,
    processes,
    kinds: small.length === 0 ? large : [...large, { name: 'the rest', percents: rest }],
    busiestThreads: busiestThreads(samples, names).map(({ process, samples: own }) => ({
      process,
      percent: (own / samples.length) * processors * 100,
    })),
  }
}

function busiestThreads(
  samples: readonly Sample[],
  names: ReadonlyMap<number, string>,
): { process: string; samples: number }[] {
  const threads = new Map<number, { process: string; samples: number }>()
  for (const { pid, tid } of samples) {
    const process = names.get(pid)
    if (process === undefined) continue
    const thread = threads.get(tid) ?? { process, samples: 0 }
    thread.samples += 1
    threads.set(tid, thread)
  }
  const sorted = [...threads.values()].toSorted((left, right) => right.samples - left.samples)
  return sorted.filter((own, index) => sorted.findIndex(({ process }) => process === own.process) === index)
}

/** A profile as a table in Markdown, with a line above it. */
export function profileTable({ what, seconds, processes, kinds, busiestThreads = [] }: Profile): string {
  const cell = (percent: number): string => (percent < 0.05 ? '–' : `${percent.toFixed(1)} %`)
  const totals = processes.map((_, column) => sum(kinds.map(({ percents }) => percents[column] ?? 0)))
  const lines = kinds.map(({ name, percents }) => [name, ...percents.map(cell), cell(sum(percents))])
  const table = [
    ['for', ...processes, 'all'],
    ['---', ...processes.map(() => '---'), '---'],
    ...lines,
    ['all', ...totals.map(cell), ''],
  ]
  const threads = busiestThreads.map(({ process, percent }) => `${process} ${percent.toFixed(0)} %`)
  return [
    `Where the time of all processors went in ${seconds.toFixed(1)} s: ${what}.`,
    table.map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    ...(threads.length === 0 ? [] : [`The busiest thread of each, of one processor: ${threads.join(', ')}.`]),
  ].join('\n\n')
}
