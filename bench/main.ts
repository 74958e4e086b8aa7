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
import type { Row, RowName } from './row.ts'
import { ended, run } from './command.ts'
import { helpText, readBenchConfig } from './config.ts'
import { buildBenchGuest } from './guest.ts'
import { measureParts, partsInWords } from './parts.ts'
import { hostFacts, reportOf } from './report.ts'
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

const measurements: Record<RowName, (context: BenchContext) => Promise<Row[]>> = {
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
  await ensureAgentBuilt(root, say)
  if (config.only.includes('wan_sync')) await buildBenchGuest(root, say)
  const folder = await mkdtemp(join(memoryFolder, 'rehost-bench-'))
  try {
    const namespaces = ['--net', '--pid', '--mount-proc', '--fork', '--kill-child', '--']
    const self = [process.execPath, ...process.execArgv, import.meta.filename, '--inside', folder]
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

/** Detaches the loop devices whose files are in `folder`. */
async function detachLoops(folder: string): Promise<void> {
  const { stdout } = await run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
  for (const line of stdout.split('\n')) {
    const [device, file] = line.trim().split(/\s+/)
    if (device !== undefined && file?.startsWith(`${folder}/`) === true)
      await run('losetup', ['--detach', device])
  }
}

/** Measures; answers with 1 when a budget is not met. */
async function measure(config: BenchConfig, folder: string): Promise<number> {
  await run('ip', ['link', 'set', 'lo', 'up'])
  const { runs, sizeBytes, loadSeconds } = config
  const parts = await measureParts(folder)
  say(`Parts: ${partsInWords(parts)}`)
  const context: BenchContext = { root, folder, runs, sizeBytes, loadSeconds, parts, say }
  const rows: Row[] = []
  for (const name of config.only) {
    say(`▶ ${name}`)
    rows.push(...(await measurements[name](context)))
  }
  say(`\n${tableOf(rows)}`)
  if (config.jsonPath !== undefined)
    await writeFile(config.jsonPath, `${JSON.stringify({ host: await hostFacts(), parts, rows }, null, 2)}\n`)
  if (config.reportPath !== undefined) await writeFile(config.reportPath, await reportOf(rows, config, parts))
  return rows.every((row) => row.met) ? 0 : 1
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
