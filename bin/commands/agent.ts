/**
 * `rehost agent …`: the agent itself, run from this checkout. A source server downloads it as one file instead.
 * @module
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Command } from 'commander'

/** Adds the command; everything after `agent` is the agent's own. */
export function addAgentCommand(program: Command, root: string): void {
  program
    .command('agent')
    .description('the agent: run, install, uninstall, inventory (rehost agent --help lists its options)')
    .allowUnknownOption()
    .helpOption(false)
    .argument('[args...]', "the agent's command and options")
    .action(async (args: string[]) => {
      process.exitCode = await runAgent(root, args)
    })
}

/** Runs the agent in the foreground and passes signals on; resolves to its exit code. */
function runAgent(root: string, args: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(root, 'agent/main.ts'), ...args],
      {
        stdio: 'inherit',
      },
    )
    const forward = (signal: NodeJS.Signals): void => {
      child.kill(signal)
    }
    process.on('SIGTERM', forward)
    // Ctrl-C reaches the child by itself; the parent must only not die before it.
    process.on('SIGINT', () => undefined)
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })
}
