/**
 * `rehost demo`: the whole demonstration, from nothing to a migrated, booted server.
 * @module
 */
import { lstat, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { unlessMissing } from '../../cloud/qemu/files.ts'
import { errorMessage } from '../../domain/errors.ts'
import { Demo } from '../demo/demo.ts'
import { demoEnvironment, takeDemoFolder } from '../demo/environment.ts'
import { processLeftovers } from '../demo/leftovers.ts'
import { formatSummary, isGood } from '../demo/summary.ts'
import type { DemoPorts } from '../demo/environment.ts'
import type { StageOptions } from '../demo/stage.ts'
import type { DemoSummary } from '../demo/summary.ts'
import { readSupervisorConfig } from '../supervisor/config.ts'
import { freePortOr } from '../supervisor/preflight.ts'
import { stopSignal, untilAborted } from './stop_signal.ts'

interface DemoFlags {
  once?: boolean
  json?: string
  fresh?: boolean
}

/** Adds the command. */
export function addDemoCommand(program: Command, root: string): void {
  program
    .command('demo')
    .description('migrate a real, running Debian server on this machine and show every step')
    .option('--once', 'exit when it is done instead of leaving the dashboard up')
    .option('--json <file>', 'write the summary as JSON')
    .option('--fresh', 'build the source server anew')
    .action(async (flags: DemoFlags) => {
      process.exitCode = (await runDemo(root, flags)) ? 0 : 1
    })
}

/** Ports for the demonstration: those that this shell names for a service, else the usual ones or free ones. */
async function demoPorts(): Promise<DemoPorts> {
  const port = async (name: string, fallback: number): Promise<number> =>
    Number(process.env[name] ?? (await freePortOr('127.0.0.1', fallback)))
  return {
    http: await port('REHOST_HTTP_PORT', 8080),
    agent: await port('REHOST_AGENT_PORT', 8443),
    replication: await port('REHOST_REPLICATION_PORT', 1500),
    dynamodb: await port('REHOST_DYNAMODB_PORT', 8042),
  }
}

/**
 * Refuses who cannot build the source server, before anything is changed.
 * @throws Error saying what needs root and what to do.
 */
function requireRoot(): void {
  const uid = process.getuid?.()
  if (uid === 0) return
  throw new Error(
    `Cannot play the demonstration as user ${uid}: its source server is a Debian that is installed into a folder, with mounts in a namespace of its own (unshare, mmdebstrap, chroot), which needs root. Run the command again as root; without root, replicate a disk image instead, as README says under "Migrate a server of your own"`,
  )
}

/** Removes the summary of an earlier run: one that fails writes none, and must not seem to have written that. */
async function removeSummary(path: string): Promise<void> {
  const stats = await unlessMissing(lstat(path))
  // A device, or a link to one such as /dev/stdout, is nobody's summary.
  if (stats?.isFile() === true) await rm(path)
}

async function runDemo(root: string, flags: DemoFlags): Promise<boolean> {
  requireRoot()
  if (flags.json !== undefined) await removeSummary(flags.json)
  const base = resolve(process.env['REHOST_DATA_DIR'] ?? '.rehost')
  const environment = demoEnvironment(process.env, join(base, 'demo-run'), await demoPorts())
  const config = readSupervisorConfig(environment)
  const signal = stopSignal()
  const folder = await takeDemoFolder(config.dataDir)
  try {
    return await play({ root, config, folder, environment, cacheDir: join(base, 'cache'), signal }, flags)
  } finally {
    await folder.giveBack()
  }
}

async function play(
  stage: Pick<StageOptions, 'root' | 'config' | 'folder' | 'environment' | 'cacheDir' | 'signal'>,
  flags: DemoFlags,
): Promise<boolean> {
  const { config, signal } = stage
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`)
  }
  const demo = new Demo({
    ...stage,
    isFresh: flags.fresh === true,
    say,
    terminal: process.stdout,
    now: () => performance.now(),
  })
  let summary: DemoSummary | undefined
  try {
    summary = await demo.run()
    say(`\n${formatSummary(summary, demo.elapsedSeconds)}`)
    if (flags.once !== true) {
      say(
        `\nThe dashboard stays up at ${demo.stage.service.dashboardUrl}. Ctrl-C ends it and removes the demonstration.`,
      )
      if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(summary, null, 2)}\n`)
      await untilAborted(signal)
    }
  } catch (error) {
    // What was broken off has words of its own, which say less.
    say(`\n${errorMessage(signal.aborted ? signal.reason : error)}`)
  }
  await demo.close()
  const leftovers = await processLeftovers(config.dataDir)
  if (summary === undefined) {
    if (!signal.aborted) say(`The logs are in ${join(config.dataDir, 'logs')}`)
  } else {
    summary = { ...summary, leftovers: [...summary.leftovers, ...leftovers] }
    if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(summary, null, 2)}\n`)
  }
  for (const leftover of leftovers) say(`Left behind: ${leftover}`)
  if (summary !== undefined || signal.aborted) await rm(config.dataDir, { recursive: true, force: true })
  return summary !== undefined && isGood(summary)
}
