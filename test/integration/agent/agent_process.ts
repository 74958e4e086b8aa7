/**
 * The agent as a process of its own, from the source tree.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../..')

/** A running agent and what it said. */
export class AgentProcess {
  readonly child: ChildProcess
  output = ''
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>

  constructor(args: readonly string[], environment: Record<string, string> = {}, program?: string) {
    const command =
      program === undefined
        ? [process.execPath, '--disable-warning=ExperimentalWarning', join(root, 'agent/main.ts')]
        : [program]
    const [file = '', ...before] = command
    this.child = spawn(file, [...before, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...environment },
    })
    const collect = (chunk: Buffer): void => {
      this.output += chunk.toString()
    }
    this.child.stdout?.on('data', collect)
    this.child.stderr?.on('data', collect)
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')),
    )
  }

  /** Stops it as the service manager does; answers how it ended. */
  stop(): Promise<number | string> {
    this.child.kill('SIGTERM')
    return this.ended
  }
}
