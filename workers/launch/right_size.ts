/**
 * How large a launched machine is.
 * @module
 */
import type { LaunchConfiguration, SourceProperties } from '../../domain/source_server.ts'

/** A machine's size. */
export interface MachineSize {
  cpuCount: number
  ramBytes: number
}

const mebibyte = 1024 ** 2
/** A current Linux does not boot comfortably with less. */
const minRamBytes = 512 * mebibyte
/** Used when right-sizing is off: the launch template's type, which the local cloud has only one of. */
const templateSize: MachineSize = { cpuCount: 2, ramBytes: 2048 * mebibyte }

/** The source's own size (BASIC) or the template's (NONE), RAM rounded up to whole 64 MiB as a memory module would be. */
export function rightSize(source: SourceProperties, method: LaunchConfiguration['rightSizing']): MachineSize {
  if (method === 'NONE') return templateSize
  const cores = source.cpus.reduce((sum, cpu) => sum + cpu.cores, 0)
  const module = 64 * mebibyte
  return {
    cpuCount: Math.max(1, cores),
    ramBytes: Math.max(minRamBytes, Math.ceil(source.ramBytes / module) * module),
  }
}
