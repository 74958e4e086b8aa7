/**
 * How large the kernel's rings are, by the number of processors.
 * @module
 */
import { readFile } from 'node:fs/promises'

/** Kernel memory of all rings together, KiB; a ring has at most 8 MiB, which held 100,000 writes a second without loss, and at least 128 KiB. */
const allRingsKb = 64 * 1024
const maxRingKb = 8 * 1024
const minRingKb = 128

/** KiB for the ring of each of so many processors. */
export function ringKbFor(processors: number): number {
  return Math.max(minRingKb, Math.min(maxRingKb, Math.floor(allRingsKb / processors)))
}

/** Processors in the kernel's list of them: `0-3,8`. */
export function countProcessors(list: string): number {
  return list
    .trim()
    .split(',')
    .map((range) => range.split('-').map(Number))
    .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0)
}

/** KiB for the ring of each processor of this machine. */
export async function defaultRingKb(): Promise<number> {
  return ringKbFor(countProcessors(await readFile('/sys/devices/system/cpu/online', 'utf8')))
}
