/**
 * `rehost demo`: the whole demonstration, from nothing to a migrated, booted server.
 * @module
 */
import { rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { errorMessage } from '../../domain/errors.ts'
import { Demo } from '../demo/demo.ts'
import { processLeftovers } from '../demo/leftovers.ts'
import { guestViewOfHost } from '../demo/stage.ts'
import { formatSummary, isGood } from '../demo/summary.ts'
import type { DemoSummary } from '../demo/summary.ts'
import { readSupervisorConfig } from '../supervisor/config.ts'
import { freePortOr } from '../supervisor/preflight.ts'

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

/** The demonstration's own data folder and ports: it must not disturb a service that runs beside it. */
async function demoEnvironment(): Promise<Record<string, string | undefined>> {
  const base = resolve(process.env['REHOST_DATA_DIR'] ?? '.rehost', 'demo-run')
  const port = async (name: string, fallback: number): Promise<string> =>
    process.env[name] ?? String(await freePortOr('127.0.0.1', fallback))
  return {
    ...process.env,
    REHOST_DATA_DIR: base,
    REHOST_HTTP_PORT: await port('REHOST_HTTP_PORT', 8080),
    REHOST_AGENT_PORT: await port('REHOST_AGENT_PORT', 8443),
    REHOST_REPLICATION_PORT: await port('REHOST_REPLICATION_PORT', 1500),
    REHOST_DYNAMODB_PORT: await port('REHOST_DYNAMODB_PORT', 8042),
    REHOST_LISTEN_HOST: '127.0.0.1',
    REHOST_PUBLIC_HOST: guestViewOfHost,
    // Its machines are removed with it.
    REHOST_SHUTDOWN_SECONDS: '0',
  }
}

async function runDemo(root: string, flags: DemoFlags): Promise<boolean> {
  const environment = await demoEnvironment()
  const config = readSupervisorConfig(environment)
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`)
  }
  const abort = new AbortController()
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        abort.abort(new Error(`Stopped by ${signal}`))
        resolve()
      })
    }
  })
  await rm(config.dataDir, { recursive: true, force: true })
  const demo = new Demo({
    root,
    config,
    environment,
    cacheDir: resolve(process.env['REHOST_DATA_DIR'] ?? '.rehost', 'cache'),
    isFresh: flags.fresh === true,
    say,
    terminal: process.stdout,
    now: () => performance.now(),
    signal: abort.signal,
  })
  let summary: DemoSummary | undefined
  try {
    summary = await demo.run()
    say(`\n${formatSummary(summary)}`)
    if (flags.once !== true) {
      say(
        `\nThe dashboard stays up at ${demo.stage.service.dashboardUrl}. Ctrl-C ends it and removes the demonstration.`,
      )
      if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(summary, null, 2)}\n`)
      await interrupted
    }
  } catch (error) {
    say(`\n${errorMessage(error)}`)
  }
  await demo.close()
  const leftovers = await processLeftovers(config.dataDir)
  if (summary === undefined) {
    if (!abort.signal.aborted) say(`The logs are in ${join(config.dataDir, 'logs')}`)
  } else {
    summary = { ...summary, leftovers: [...summary.leftovers, ...leftovers] }
    if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(summary, null, 2)}\n`)
  }
  for (const leftover of leftovers) say(`Left behind: ${leftover}`)
  if (summary !== undefined || abort.signal.aborted)
    await rm(config.dataDir, { recursive: true, force: true })
  return summary !== undefined && isGood(summary)
}
