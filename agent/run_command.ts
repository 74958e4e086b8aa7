/**
 * Runs other programs: the few that the agent needs (`mount`, `sync`, `systemctl`).
 * @module
 */
import { execFile } from 'node:child_process'

/** Runs a program to its end and answers its output; throws with what it wrote to its error output when it fails. */
export type CommandRunner = (program: string, args: readonly string[], timeoutMs?: number) => Promise<string>

/** Where programs for root are, whatever the environment says. */
export const programPath = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin'

/** Runs programs of this machine, in the C locale. */
export const runCommand: CommandRunner = (program, args, timeoutMs = 60_000) =>
  new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, env: { PATH: programPath, LC_ALL: 'C' }, maxBuffer: 1024 * 1024 }
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else
        reject(
          new Error(`Cannot run ${program} ${args.join(' ')}: ${stderr.trim() || error.message}`, {
            cause: error,
          }),
        )
    })
  })

/** Whether a program is installed. */
export async function isInstalled(run: CommandRunner, program: string): Promise<boolean> {
  return run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false,
  )
}
