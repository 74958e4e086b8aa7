/**
 * The programs this cloud is made of: found on a given path, run with a deadline, and named with their package when missing.
 * @module
 */
import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { PermanentError } from '../../domain/errors.ts'
import { isSystemError } from './files.ts'

const run = promisify(execFile)

/** The programs needed and, for the message, what installs each on Debian and Ubuntu. */
const packages = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  cp: 'coreutils',
  setpriv: 'util-linux',
  sh: 'dash',
} as const

/** A program this cloud runs. */
export type ToolName = keyof typeof packages

/** Every program needed. */
export const toolNames = Object.keys(packages) as ToolName[]

/** What to type to install a program on Debian and Ubuntu. */
export function howToInstall(tool: ToolName): string {
  return `apt-get install ${packages[tool]}`
}

/** Finds and runs programs. */
export interface Tools {
  /** Absolute path of a program. @throws PermanentError saying what to install. */
  find(tool: ToolName): Promise<string>
  /** Runs to the end, or to the end of this process, and returns standard output. @throws Error with the program's own words, or that it took longer than `timeoutMs`. */
  run(tool: ToolName, args: readonly string[], timeoutMs: number): Promise<string>
  /** Environment for programs that live on: the path, and a language whose messages can be read by programs. */
  readonly environment: Readonly<Record<string, string>>
}

/** Tools looked for in the folders of `toolPath`, in order. */
export function toolsOn(toolPath: string): Tools {
  const folders = toolPath.split(':').filter((folder) => folder !== '')
  const environment = { PATH: toolPath, LC_ALL: 'C.UTF-8' }
  const find = async (tool: ToolName): Promise<string> => {
    for (const folder of folders) {
      const candidate = path.join(folder, tool)
      try {
        await access(candidate, constants.X_OK)
        return candidate
      } catch (error) {
        // Not in this folder, or not for us: the next one may have it, and none having it is reported below.
        if (!['ENOENT', 'EACCES', 'ENOTDIR'].some((code) => isSystemError(error, code))) throw error
      }
    }
    throw new PermanentError(
      `Cannot find ${tool} in ${folders.join(', ') || 'an empty path'}; install it (Debian, Ubuntu: ${howToInstall(tool)})`,
    )
  }
  return {
    environment,
    find,
    run: async (tool, args, timeoutMs) => {
      const file = await find(tool)
      // A copy of hours must not go on for a worker that is no more: another one begins anew.
      const ownArgs = ['--pdeathsig', 'KILL', '--', file, ...args]
      try {
        const options = { timeout: timeoutMs, env: environment, maxBuffer: 16 * 2 ** 20 }
        return (await run(await find('setpriv'), ownArgs, options)).stdout
      } catch (error) {
        throw failure(`Cannot run ${tool} ${args.join(' ')}`, error, timeoutMs)
      }
    },
  }
}

/** The program's own words when it had any; otherwise what the system said is the cause. */
function failure(what: string, error: unknown, timeoutMs: number): Error {
  if (error instanceof Error && 'killed' in error && error.killed === true) {
    return new Error(`${what}: it took longer than ${timeoutMs / 1000} s`)
  }
  const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  return words === '' ? new Error(what, { cause: error }) : new Error(`${what}: ${words}`)
}
