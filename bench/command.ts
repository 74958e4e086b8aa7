/**
 * Programs that the benchmark runs: the peers, and the tools that make disks and links.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'

/** What a program did. */
export interface Ran {
  stdout: string
  /** Wall clock, from its start to its end. */
  seconds: number
}

/**
 * Runs a program to its end.
 * @throws Error with what it wrote when it fails.
 */
export async function run(command: string, args: readonly string[]): Promise<Ran> {
  const begin = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const code = await ended(child)
  const seconds = (performance.now() - begin) / 1000
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${(stderr + stdout).slice(-2000)}`)
  return { stdout, seconds }
}

/** Resolves with a program's exit code, or the signal that ended it. @throws Error when it can't be started. */
export function ended(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing'))
  })
}

/** Asks `look` every `everyMs` until it has an answer. @throws Error naming `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined> | T | undefined,
  everyMs = 25,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs / 1000} s in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

/** Resolves after so many seconds. */
export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
