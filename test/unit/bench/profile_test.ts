import { ChildProcess } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { kindOf, parseSamples, profileOf, profileTable } from '../../../bench/profile.ts'
import { Profiler } from '../../../bench/profiler.ts'

const node = '/usr/bin/node'
const kernel = '[kernel.kallsyms]'

/** As `perf script` writes it. */
const script = `
    0/0  ffffffff82200ff1 default_idle ([kernel.kallsyms])
 2245/2245      7f0b7431de30 _blake3_hash_many_avx512 (/lib/blake.linux-x64-gnu.node)
 2245/12245           123c7a9 v8::internal::Runtime_GetProperty (/usr/bin/node)
 2245/2245            e9721c v8::internal::MarkingVisitorBase<(v8::internal::Mode)0>::Visit (/usr/bin/node)
 2246/2246      7f2df80e1af2 [unknown] (/tmp/perf-23828.map)
 2246/2246  ffffffff81360092 tcp_sendmsg ([kernel.kallsyms])
99999/99999  ffffffff81360092 tcp_sendmsg ([kernel.kallsyms])
 2246/2246  ffffffff81360092 tcp_sendmsg ([kernel.kallsyms])
this is no sample
`

it.each([
  ['tcp_write_xmit', kernel, 'kernel: network'],
  ['_copy_to_iter', kernel, 'kernel: copying'],
  ['filemap_get_entry', kernel, 'kernel: files and memory'],
  ['finish_task_switch.isra.0', kernel, 'kernel: switching between threads, and the rest'],
  ['ossl_aes_gcm_decrypt_avx512', node, 'encryption (TLS)'],
  ['ZSTD_compressBlock_fast', node, 'compression (zstd)'],
  ['v8::internal::Scavenger::ScavengeObject', node, 'collecting garbage'],
  ['__memmove_avx512_unaligned_erms', '/lib/libc.so.6', 'copying and comparing in memory'],
  ['Builtins_LoadIC', node, 'JavaScript'],
  ['[unknown]', '/tmp/perf-1.map', 'JavaScript'],
  ['[unknown]', '/lib/blake.linux-x64-gnu.node', 'hashing (BLAKE3)'],
  ['uv__io_poll', node, 'Node.js, and the rest'],
])('knows what %s in %s does', (symbol, program, kind) => {
  expect(kindOf({ symbol, program })).toBe(kind)
})

it('sums by process and kind', () => {
  const samples = parseSamples(script)
  expect(samples).toHaveLength(8)
  const names = new Map([
    [2245, 'agent'],
    [2246, 'replicator'],
  ])
  const profile = profileOf(samples, { what: 'a copy', seconds: 2, names, processors: 2 })
  expect(profile.processes).toEqual(['agent', 'replicator', 'everything else'])
  expect(Object.fromEntries(profile.kinds.map(({ name, percents }) => [name, percents]))).toEqual({
    'kernel: network': [0, 25, 12.5],
    'nothing: idle': [0, 0, 12.5],
    'hashing (BLAKE3)': [12.5, 0, 0],
    'Node.js, and the rest': [12.5, 0, 0],
    'collecting garbage': [12.5, 0, 0],
    JavaScript: [0, 12.5, 0],
  })
  // Of eight samples on two processors three are of the replicator's one thread, and two of one of the agent's.
  expect(profile.busiestThreads).toEqual([
    { process: 'replicator', percent: 75 },
    { process: 'agent', percent: 50 },
  ])
  const table = profileTable(profile)
  expect(table).toContain('in 2.0 s: a copy.')
  expect(table).toContain('| kernel: network | – | 25.0 % | 12.5 % | 37.5 % |')
  expect(table).toContain('The busiest thread of each, of one processor: replicator 75 %, agent 50 %.')
  expect(table).toContain('| all | 37.5 % | 37.5 % | 25.0 % |  |')
})

it('runs what is measured also where nothing can look, signals nobody, and says so', async () => {
  const kill = vi.spyOn(ChildProcess.prototype, 'kill').mockReturnValue(true)
  onTestFinished(() => kill.mockRestore())
  const said: string[] = []
  const profiler = new Profiler(tmpdir(), (line) => said.push(line), '/nonexistent/perf')
  const result = await profiler.during(
    'a copy',
    () => Promise.resolve(7),
    () => Promise.resolve({}),
  )
  expect(result).toBe(7)
  expect(said.join()).toMatch(/No profile of "a copy": .*perf/)
  expect(profiler.take()).toEqual([])
  expect(kill).not.toHaveBeenCalled()
})

it('keeps each profile until it is asked for, and ends what looks when the work fails', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rehost-profile-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const program = join(folder, 'perf')
  // Looks until it is interrupted; then it shows what it has seen.
  await writeFile(
    program,
    `#!/bin/sh\nif [ "$1" = script ]; then cat <<'END'${script}END\nelse trap 'exit 0' INT; while :; do sleep 0.05; done; fi\n`,
  )
  await chmod(program, 0o700)
  const profiler = new Profiler(folder, () => undefined, program)
  await profiler.during(
    'one',
    () => Promise.resolve(),
    () => Promise.resolve({ agent: 2245, gone: undefined }),
  )
  await expect(
    profiler.during(
      'two',
      () => Promise.reject(new Error('It failed')),
      () => Promise.resolve({}),
    ),
  ).rejects.toThrow('It failed')
  const taken = profiler.take()
  expect(taken.map(({ what, processes }) => ({ what, processes }))).toEqual([
    { what: 'one', processes: ['agent', 'everything else'] },
  ])
  expect(profiler.take()).toEqual([])
})
