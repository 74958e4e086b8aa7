/**
 * Plants bugs one at a time in a copy of the tree and looks whether the tests catch them: `npm run mutations`, or with names for some.
 *
 * A bug is a text that occurs exactly once in one file, and what takes its place. The suite named with it must fail; a bug that it does not
 * notice is a gap in the tests. Seeds are fixed, so that the answer is the same each time; sizes are those of CI, but for the bugs that name their
 * own.
 * @module
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import * as z from 'zod'
import type { PlantedBug } from './planted_bugs.ts'
import { plantedBugs } from './planted_bugs.ts'

const root = join(import.meta.dirname, '..')

/** A suite may take so long without a bug. */
const longestMs = 600_000

/** A suite that hangs on a bug has noticed it: it hangs when it takes so many times what it took without, and at least a minute. */
const patience = 5
const leastPatienceMs = 60_000

/** What is not needed to run a test. */
const leftOut = new Set(['node_modules', '.git', '.rehost', 'seeds'])

/** Replaces what stands there exactly once. @throws Error when it does not. */
function plant(text: string, { name, file, from, to }: PlantedBug): string {
  const pieces = text.split(from)
  if (pieces.length === 2) return pieces.join(to)
  throw new Error(
    `Cannot plant "${name}": its text occurs ${pieces.length - 1} times in ${file} instead of once`,
  )
}

/** What vitest writes of a run. */
const resultSchema = z.object({ numFailedTests: z.int() })

type Outcome = 'passes' | 'fails' | 'hangs'

/** What becomes of the suite in `folder`. @throws Error when no test of it fails but it cannot be run: then it says nothing of the bug. */
async function outcome(folder: string, { tests, env }: PlantedBug, mostMs: number): Promise<Outcome> {
  const resultPath = join(folder, 'mutation-result.json')
  await rm(resultPath, { force: true })
  const child = spawn(
    process.execPath,
    [
      join(folder, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--bail=1', '--reporter=json', `--outputFile=${resultPath}`, ...tests],
    ],
    { cwd: folder, stdio: 'ignore', env: { ...process.env, SEED: '1', ...env }, detached: true },
  )
  let isTooLong = false
  const timer = setTimeout(() => {
    isTooLong = true
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, mostMs)
  const [code] = (await once(child, 'close').finally(() => clearTimeout(timer))) as [number | null]
  if (isTooLong) return 'hangs'
  if (code === 0) return 'passes'
  const { numFailedTests } = resultSchema.parse(JSON.parse(await readFile(resultPath, 'utf8')))
  if (numFailedTests === 0) throw new Error(`${tests.join(' ')} cannot be run`)
  return 'fails'
}

/** A suite with its size. */
const suiteOf = ({ tests, env }: PlantedBug): string =>
  [...Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`), ...tests].join(' ')

/** What a suite took since `beganMs`, for people. */
const secondsSince = (beganMs: number): string =>
  `${((performance.now() - beganMs) / 1000).toFixed(0).padStart(3)} s`

const names = process.argv.slice(2)
const chosen = plantedBugs.filter(({ name }) => names.length === 0 || names.includes(name))
const unknown = names.filter((name) => !plantedBugs.some((bug) => bug.name === name))
if (unknown.length > 0) {
  console.error(
    `No such bug: ${unknown.join(', ')}. There are: ${plantedBugs.map(({ name }) => name).join(', ')}`,
  )
  process.exit(2)
}

const folder = await mkdtemp(join(tmpdir(), 'rehost-mutations-'))
let missed = 0
try {
  await cp(root, folder, {
    recursive: true,
    filter: (path) => !leftOut.has(relative(root, path).split('/')[0] ?? ''),
  })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const width = Math.max('without a bug'.length, ...chosen.map(({ name }) => name.length))
  const longestOf = new Map<string, number>()
  for (const suite of chosen) {
    if (longestOf.has(suiteOf(suite))) continue
    const beganMs = performance.now()
    const came = await outcome(folder, suite, longestMs)
    if (came !== 'passes')
      throw new Error(`${suiteOf(suite)} ${came} without any bug planted; mend that first`)
    longestOf.set(suiteOf(suite), Math.max(leastPatienceMs, patience * (performance.now() - beganMs)))
    console.log(`passes  ${'without a bug'.padEnd(width)}  ${secondsSince(beganMs)}  ${suiteOf(suite)}`)
  }
  for (const bug of chosen) {
    const path = join(folder, bug.file)
    const text = await readFile(path, 'utf8')
    await writeFile(path, plant(text, bug))
    const beganMs = performance.now()
    const came = await outcome(folder, bug, longestOf.get(suiteOf(bug)) ?? longestMs)
    await writeFile(path, text)
    if (came === 'passes') missed += 1
    const said = { passes: 'MISSED', fails: 'caught', hangs: 'hangs ' }[came]
    console.log(`${said}  ${bug.name.padEnd(width)}  ${secondsSince(beganMs)}  ${suiteOf(bug)}`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(`\n${chosen.length - missed} caught, ${missed} missed`)
process.exit(missed === 0 ? 0 : 1)
