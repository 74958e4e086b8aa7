/**
 * Everything that judges the source without running it, and the test suites: `npm run ok` and `npm test`.
 *
 * `node scripts/checks.ts ok` runs types, lint, format and the tests that need no service; `all` runs the rest too; `guests` runs only
 * those that build, convert, boot and migrate whole guests. The last line is `N passed, N failed`, and what failed stands before it with
 * its first words: whoever reads a run that ended long ago often has its end only. A migration leaves a quarter of the processors idle:
 * what can wait is done then, by this program once more, as `aside` or `aside-guests`.
 * @module
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { constants, setPriority, tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules/.bin')

// As bin/rehost does: the tests start hundreds of processes.
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules/.cache/rehost')

/** The programs that `deno check` must accept. */
const entryPoints = [
  'gateway/main.ts',
  'workers/main.ts',
  'replicator/main.ts',
  'agent/main.ts',
  'store/embedded/main.ts',
  'bin/rehost.ts',
]

interface Tally {
  passed: number
  failed: number
  /** What failed, in lines that begin with `failureMark`; at most as many as are of use. */
  failures: string[]
}

const failureMark = '✗ '
const shownFailures = 20
const shownLines = 12

/** Runs a command with its output shown; resolves to its exit code. */
function run(command: string, args: string[]): Promise<number> {
  console.log(`\n$ ${[command.replace(`${root}/`, ''), ...args].join(' ')}`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

/** A check counts as one. */
async function check(command: string, args: string[]): Promise<Tally> {
  const code = await run(command, args)
  if (code === 0) return { passed: 1, failed: 0, failures: [] }
  return { passed: 0, failed: 1, failures: [`${failureMark}${basename(command)} ended with ${String(code)}`] }
}

/** The part of vitest's JSON report that is read; everything is missing when it could not run. */
interface Report {
  numPassedTests?: number
  numFailedTests?: number
  testResults?: {
    name: string
    status: string
    message: string
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
  }[]
}

/** Each failed test of a report, and each file that failed as a whole, with the first lines of its messages. */
function failuresOf(report: Report): string[] {
  const failures = (report.testResults ?? []).flatMap(({ name, status, message, assertionResults }) => {
    const tests = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => ({ title: test.fullName, words: test.failureMessages.join('\n') }))
    const file = relative(root, name)
    const all = tests.length === 0 && status === 'failed' ? [{ title: '(the file)', words: message }] : tests
    return all.map(({ title, words }) => [`${file}: ${title}`, ...words.split('\n').slice(0, shownLines)])
  })
  return failures.slice(0, shownFailures).map((lines) => lines.map((line) => failureMark + line).join('\n'))
}

/** A test run counts as many as it has tests; one that could not run, or ran none, counts as a failure. */
async function suite(args: string[]): Promise<Tally> {
  const folder = await mkdtemp(join(tmpdir(), 'rehost-tests-'))
  const file = join(folder, 'results.json')
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const code = await run(process.execPath, [
    vitest,
    'run',
    ...args,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ])
  const text = await readFile(file, 'utf8').catch(() => '{}')
  await rm(folder, { recursive: true, force: true })
  const report = JSON.parse(text) as Report
  const passed = report.numPassedTests ?? 0
  const failed = Math.max(report.numFailedTests ?? 0, code === 0 && passed > 0 ? 0 : 1)
  const failures = failuresOf(report)
  // Such as an error that no test waited for.
  if (failed > 0 && failures.length === 0)
    failures.push(`${failureMark}vitest run ${args.join(' ')} ended with ${String(code)}, and no test failed`)
  return { passed, failed, failures }
}

/** Several checks, one after the other. */
async function checks(commands: readonly [string, ...string[]][]): Promise<Tally[]> {
  const tallies: Tally[] = []
  for (const [command, ...args] of commands) tallies.push(await check(join(bin, command), args))
  return tallies
}

/** Types, lint and format, and with `isWhole` what Deno says. Two at a time: half of them use one processor only. */
async function judgeSource(isWhole: boolean): Promise<Tally[]> {
  const deno: [string, ...string[]][] = isWhole
    ? [['deno', 'check', '--node-modules-dir=manual', ...entryPoints]]
    : []
  const judged = await Promise.all([
    checks([
      ['tsc', '-p', '.'],
      ['oxlint', '--type-aware'],
    ]),
    checks([['prettier', '--check', '--log-level', 'warn', '.'], ...deno]),
  ])
  return judged.flat()
}

/** Tests of the second configuration, by project. */
function guestSuite(...projects: string[]): Promise<Tally> {
  return suite(['--config', 'vitest.e2e.config.ts', ...projects.flatMap((name) => ['--project', name])])
}

/** What needs no guest of its own to run, beginning with the Debian that the converted guests are made from. */
async function waitingWork(isSourceJudged: boolean): Promise<Tally[]> {
  const disable = '--disable-warning=ExperimentalWarning'
  // Not counted: the test that needs it tries again, and fails when it can't be had.
  await run(process.execPath, [disable, join(root, 'test/fixtures/guest_tree.ts')])
  return [...(isSourceJudged ? await judgeSource(true) : []), await guestSuite('patient')]
}

/** Does the waiting work in a process of its own that takes only what others leave; its output is shown when it has ended. */
async function runAside(mode: 'aside' | 'aside-guests'): Promise<Tally> {
  const own = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename, mode]
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...own], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  if (child.pid !== undefined) giveWay(child.pid)
  const chunks: Buffer[] = []
  const ownWords: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    ownWords.push(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  console.log(`\n$ ${mode}, beside the above\n${Buffer.concat(chunks).toString()}`)
  const output = Buffer.concat(ownWords).toString()
  const [, passed = '0', failed = '0'] = /\n(\d+) passed, (\d+) failed\n$/.exec(output) ?? []
  // One that ends without its tally has not done what it was to do.
  const isDone = code === 0 && passed !== '0'
  const failures = output.split('\n').filter((line) => line.startsWith(failureMark))
  if (!isDone && failures.length === 0) failures.push(`${failureMark}${mode} ended with ${String(code)}`)
  return { passed: Number(passed), failed: Math.max(Number(failed), isDone ? 0 : 1), failures }
}

/** Priorities count among the processes of a session only where the kernel shares out by sessions (sched(7), autogroups): both are lowered. */
function giveWay(pid: number): void {
  setPriority(pid, constants.priority.PRIORITY_LOW)
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(constants.priority.PRIORITY_LOW))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

/** Whole guests, with the waiting work beside the migration, which comes first. */
async function guests(mode: 'aside' | 'aside-guests'): Promise<Tally[]> {
  return Promise.all([guestSuite('migration', 'conversion'), runAside(mode)])
}

const modes: Record<string, () => Promise<Tally[]>> = {
  ok: async () => [...(await judgeSource(false)), await suite(['test/unit'])],
  all: async () => [await suite([]), ...(await guests('aside'))],
  guests: () => guests('aside-guests'),
  aside: () => waitingWork(true),
  'aside-guests': () => waitingWork(false),
}

const mode = process.argv[2] ?? ''
const work = modes[mode]
if (work === undefined) {
  console.error('Usage: node scripts/checks.ts ok|all|guests')
  process.exit(2)
}
// It leads a group of its own, which nobody else ends.
if (mode.startsWith('aside')) process.once('SIGTERM', () => process.kill(0, 'SIGTERM'))

const tallies = await work()
const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0)
const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0)
const failures = tallies.flatMap((tally) => tally.failures)
if (failures.length > 0) console.log(`\n${failures.join('\n')}`)
console.log(`\n${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
