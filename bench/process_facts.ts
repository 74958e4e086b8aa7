/**
 * What the kernel says of a process.
 * @module
 */
import { readFile } from 'node:fs/promises'

/** The kernel counts processor time so finely. */
export const ticksPerSecond = 100

/** The most memory that a process has held, in MB. */
export async function peakMemoryMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = /VmHWM:\s+(\d+) kB/.exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`Cannot find VmHWM of process ${pid}`)
  return (Number(kibibytes) * 1024) / 1e6
}

/** Processor seconds of a process and its threads. */
export async function processorSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
