/**
 * Which process runs on which processor.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { run } from './command.ts'

/** Keeps a process with all its threads on these processors. What it starts from now on stays there too. */
async function pin(pid: number, cores: string): Promise<void> {
  await run('taskset', ['--all-tasks', '--pid', '--cpu-list', cores, String(pid)])
}

/** The processors that this process may use, as `taskset` names them. */
async function ownCores(): Promise<string> {
  const found = /^Cpus_allowed_list:\s*(\S+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1]
  if (found === undefined) throw new Error('Cannot find Cpus_allowed_list in /proc/self/status')
  return found
}

/**
 * Runs `use` while process `pid` has the first processor for itself: this process, what it starts, and `others` share the rest.
 * @returns what `use` does. With one processor there is nothing to share out: everything stays where it is.
 */
export async function withCoreFor<T>(
  pid: number,
  others: readonly number[],
  use: () => Promise<T>,
): Promise<T> {
  const { length } = cpus()
  if (length === 1) return use()
  const before = await ownCores()
  const rest = length === 2 ? '1' : `1-${length - 1}`
  await pin(pid, '0')
  for (const other of [process.pid, ...others]) await pin(other, rest)
  try {
    return await use()
  } finally {
    await pin(process.pid, before)
  }
}

/** What {@link withCoreFor} does here, for people. */
export function sharingInWords(): string {
  const { length } = cpus()
  if (length === 1) return 'everything shares the one processor of this machine'
  const rest = length === 2 ? 'the other one' : `the other ${length - 1}`
  return `the gateway has one processor for itself; store, Redis and load share ${rest}`
}
