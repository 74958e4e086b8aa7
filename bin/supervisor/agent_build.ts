/**
 * Makes sure that the agent which the gateway hands out is built from this source.
 * @module
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Builds the agent unless it is up to date. @throws Error with the build's last words. */
export async function ensureAgentBuilt(root: string, say: (line: string) => void): Promise<void> {
  const { stdout } = await run(process.execPath, [join(root, 'scripts/build_agent.ts')], { cwd: root })
  for (const line of stdout.trimEnd().split('\n')) say(line)
}
