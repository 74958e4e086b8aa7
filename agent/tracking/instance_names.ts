/**
 * The names of tracing instances, and what becomes of those that nobody reads any more.
 * @module
 */
import { readFile, readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the kernel shows tracing. */
export const tracingFolder = '/sys/kernel/tracing'

const instancePrefix = 'rehost-'

/** When process `pid` started, in ticks after boot; undefined when there is none. Tells a process from a later one with the same number. */
async function startTicks(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined
    throw error
  }
}

let instanceCounter = 0

/** A name that no other instance has; it carries the process, so that what dead ones left is found. */
export async function privateName(): Promise<string> {
  instanceCounter += 1
  return `${instancePrefix}${process.pid}-${await startTicks(process.pid)}-${instanceCounter}`
}

/** Removes instances whose process has died: each holds memory of the kernel. Answers the names of those removed. */
export async function removeStaleInstances(root = tracingFolder): Promise<string[]> {
  const removed: string[] = []
  for (const name of await readdir(join(root, 'instances'))) {
    const [, pid, ticks] = /^rehost-(\d+)-(\d+)-\d+$/.exec(name) ?? []
    if (pid === undefined || (await startTicks(Number(pid))) === ticks) continue
    if (await removeInstance(join(root, 'instances', name))) removed.push(name)
  }
  return removed
}

/** Removes an instance if it is there; false when somebody looks into it. */
export async function removeInstance(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EBUSY') return false
    if (code !== 'ENOENT') throw error
  }
  return true
}
