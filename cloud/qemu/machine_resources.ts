/**
 * What a machine gets of this host: what it asks for, as far as the host has it.
 * @module
 */
import { availableParallelism } from 'node:os'
import { humanBytes } from './space.ts'

const mebibyte = 2 ** 20
/** Part of the free memory that a machine may take, so that the host and QEMU itself keep some. */
const maxMemoryPart = 0.75
const minRamBytes = 128 * mebibyte

/** What the host has now. */
export interface HostResources {
  cpuCount: number
  availableRamBytes: number
}

/** What the host has now; a container's limits count. */
export function hostResources(): HostResources {
  return { cpuCount: availableParallelism(), availableRamBytes: process.availableMemory() }
}

/** CPUs and memory to give; `reduced` says what was asked for when it is less. RAM is in whole MiB. */
export function boundResources(
  asked: { cpuCount: number; ramBytes: number },
  host: HostResources,
): { cpuCount: number; ramBytes: number; reduced?: string } {
  const cpuCount = Math.max(1, Math.min(asked.cpuCount, host.cpuCount))
  const most = Math.min(asked.ramBytes, host.availableRamBytes * maxMemoryPart)
  const ramBytes = Math.floor(Math.max(most, minRamBytes) / mebibyte) * mebibyte
  if (cpuCount >= asked.cpuCount && ramBytes + mebibyte > asked.ramBytes) return { cpuCount, ramBytes }
  const reduced = `${asked.cpuCount} CPUs and ${humanBytes(asked.ramBytes)} of RAM were asked for`
  return { cpuCount, ramBytes, reduced }
}
