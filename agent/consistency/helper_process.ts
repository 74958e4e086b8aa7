/**
 * Helper processes that outlive the agent: scripts for any POSIX shell that are started before they are needed, act when they are told to,
 * and clean up by themselves when their input ends or their time is over.
 * @module
 */
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { programPath } from '../run_command.ts'

/** A running script. */
export type Helper = ChildProcessByStdio<Writable, Readable, null>

/**
 * Starts a script.
 * @param name shown in the list of processes.
 * @throws Error when the process can't be started, as when there are too many.
 */
export async function startScript(
  script: string,
  args: readonly string[],
  name: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Helper> {
  const helper = spawn('/bin/sh', ['-c', script, name, ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // A group of its own: a signal to the agent's group does not reach it.
    detached: true,
    cwd: '/',
    env: { PATH: programPath, LC_ALL: 'C', ...environment },
  })
  // Before anything else is done with it: one that was not started may have no pipes.
  await once(helper, 'spawn')
  // The helper may be gone when something is written to it; its end is seen by its output's end.
  helper.stdin.on('error', () => undefined)
  return helper
}

/** Lines of a helper's output, one at a time; undefined at its end. */
export class Lines {
  #text = ''
  #isEnded = false
  #waiting: (() => void) | undefined

  constructor(output: Readable) {
    output.setEncoding('utf8')
    output.on('data', (chunk: string) => {
      this.#text += chunk
      this.#waiting?.()
    })
    output.on('close', () => {
      this.#isEnded = true
      this.#waiting?.()
    })
  }

  /** The next line, when it is whole. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n')
      if (end >= 0) {
        const line = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 1)
        return line
      }
      if (this.#isEnded) return undefined
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }
}
