/**
 * Everything that judges the source without running it, and the test suites: `npm run ok` and `npm test`.
 *
 * `node scripts/checks.ts ok` runs types, lint, format and the tests that need no service; `all` runs the rest too; `guests` runs only
 * those that build, convert, boot and migrate whole guests. The last line is `N passed, N failed`.
 * @module
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
}

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
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 }
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
  const results = JSON.parse(text) as {
    numPassedTests?: number
    numFailedTests?: number
    numFailedTestSuites?: number
  }
  const passed = results.numPassedTests ?? 0
  const failed = Math.max(results.numFailedTests ?? 0, code === 0 && passed > 0 ? 0 : 1)
  return { passed, failed }
}

const mode = process.argv[2]
if (mode !== 'ok' && mode !== 'all' && mode !== 'guests') {
  console.error('Usage: node scripts/checks.ts ok|all|guests')
  process.exit(2)
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

const tallies: Tally[] = mode === 'guests' ? [] : await judgeSource(mode === 'all')
if (mode === 'ok') tallies.push(await suite(['test/unit']))
if (mode === 'all') tallies.push(await suite([]))
if (mode === 'all' || mode === 'guests') tallies.push(await suite(['--config', 'vitest.e2e.config.ts']))

const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0)
const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0)
console.log(`\n${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
