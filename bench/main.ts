/**
 * `npm run bench`: measures the rows of the budget table against the peers that people use instead, in the same run.
 *
 * It works in namespaces of its own, which end with it, and in memory, so that neither another service nor a slow disk is measured.
 * @module
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureAgentBuilt } from '../bin/supervisor/agent_build.ts'
import { errorMessage } from '../domain/errors.ts'
import type { BenchContext } from './context.ts'
import type { BenchConfig } from './config.ts'
import type { Measure } from './measure.ts'
import type { RowName } from './row.ts'
import { ended, run } from './command.ts'
import { helpText, readBenchConfig } from './config.ts'
import { figuresPath, readFigures, withOutcome, writeFigures } from './figures.ts'
import { buildBenchGuest } from './guest.ts'
import { hostFacts, measuredCommit } from './host.ts'
import { measureRows } from './measure.ts'
import { measureParts, partsInWords } from './parts.ts'
import { Profiler } from './profiler.ts'
import { reportOf } from './report.ts'
import { tableOf } from './row.ts'
import { agentCost } from './rows/agent_cost.ts'
import { controlPlane } from './rows/control_plane.ts'
import { initialSync } from './rows/initial_sync.ts'
import { replicatorCost } from './rows/replicator_cost.ts'
import { rescan } from './rows/rescan.ts'
import { snapshot } from './rows/snapshot.ts'
import { wanSync } from './rows/wan_sync.ts'
import { writeLoad } from './rows/write_load.ts'

const root = join(import.meta.dirname, '..')
const memoryFolder = '/dev/shm'

const measures: Record<RowName, Measure> = {
  initial_sync: initialSync,
  wan_sync: wanSync,
  rescan,
  write_load: writeLoad,
  agent_cost: agentCost,
  replicator_cost: replicatorCost,
  snapshot,
  control_plane: controlPlane,
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Prepares what needs the network of this machine, then goes on in namespaces of its own, and clears up behind them whatever ended them. */
async function goInside(config: BenchConfig): Promise<number> {
  if (process.getuid?.() !== 0)
    throw new Error('Cannot measure without root: links are network namespaces, and loads need a loop device')
  // A file that can't be gone on from is told before an hour is spent on measuring.
  if (config.reportPath !== undefined) await readFigures(figuresPath(config.reportPath))
  await ensureAgentBuilt(root, say)
  const refusal = config.only.includes('wan_sync') ? await guestRefusal() : []
  const folder = await mkdtemp(join(memoryFolder, 'rehost-bench-'))
  try {
    const namespaces = ['--net', '--pid', '--mount-proc', '--fork', '--kill-child', '--']
    const self = [process.execPath, ...process.execArgv, import.meta.filename, '--inside', folder, ...refusal]
    const child = spawn('unshare', [...namespaces, ...self, ...process.argv.slice(2)], { stdio: 'inherit' })
    // With the first process of the namespace every other one of it ends.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGKILL'))
    const code = await ended(child)
    return typeof code === 'number' ? code : 1
  } finally {
    await detachLoops(folder)
    await rm(folder, { recursive: true, force: true })
  }
}

/** Builds the Debian disk; without it the row that needs it fails with the reason, and the others are measured. */
async function guestRefusal(): Promise<string[]> {
  try {
    await buildBenchGuest(root, say)
    return []
  } catch (error) {
    return ['--guest-refusal', errorMessage(error)]
  }
}

/** Detaches the loop devices whose files are in `folder`. */
async function detachLoops(folder: string): Promise<void> {
  const { stdout } = await run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
  for (const line of stdout.split('\n')) {
    const [device, file] = line.trim().split(/\s+/)
    if (device !== undefined && file?.startsWith(`${folder}/`) === true)
      await run('losetup', ['--detach', device])
  }
}

/** Measures; answers with 1 when a row fails or a budget is not met. */
async function measure(config: BenchConfig, folder: string): Promise<number> {
  await run('ip', ['link', 'set', 'lo', 'up'])
  const { only, runs, sizeBytes, loadSeconds, guestRefusal: refusal, reportPath, jsonPath } = config
  const parts = await measureParts(folder)
  say(`Parts: ${partsInWords(parts)}`)
  const context: BenchContext = {
    root,
    folder,
    runs,
    sizeBytes,
    loadSeconds,
    guestRefusal: refusal,
    parts,
    profiler: new Profiler(folder, say),
    say,
  }
  const host = await hostFacts()
  const settings = { runs, sizeMib: sizeBytes / 2 ** 20, loadSeconds }
  const about = { commit: await measuredCommit(root), settings, host, parts }
  const outcomes = await measureRows({
    only,
    measures,
    context,
    about,
    onOutcome: async (outcome) => {
      if (reportPath === undefined) return
      const figures = withOutcome(await readFigures(figuresPath(reportPath)), outcome)
      await writeFigures(figuresPath(reportPath), figures)
      await writeFile(reportPath, reportOf(figures))
    },
  })
  const rows = outcomes.flatMap((outcome) => ('rows' in outcome ? outcome.rows : []))
  const failures = outcomes.filter((outcome) => 'reason' in outcome)
  say(`\n${tableOf(rows, failures)}`)
  if (jsonPath !== undefined)
    await writeFile(jsonPath, `${JSON.stringify({ host, parts, rows, failures }, null, 2)}\n`)
  return failures.length === 0 && rows.every((row) => row.met !== false) ? 0 : 1
}

try {
  if (process.argv.includes('--help')) {
    say(helpText)
  } else {
    const config = readBenchConfig(process.argv.slice(2), join(root, 'docs/performance.md'))
    const { insideFolder } = config
    process.exitCode = await (insideFolder === undefined ? goInside(config) : measure(config, insideFolder))
  }
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n`)
  process.exitCode = 1
}
