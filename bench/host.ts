/**
 * What figures depend on: the machine, the programs on it, and what of the project was measured.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { errorMessage } from '../domain/errors.ts'
import { run } from './command.ts'
import { ticksPerSecond } from './process_facts.ts'

/** What the figures depend on. */
export interface HostFacts {
  processor: string
  cores: number
  memoryGib: number
  kernel: string
  node: string
  peers: string[]
}

/** The first line that a program says of its version. */
async function versionOf(program: string): Promise<string> {
  try {
    return (await run(program, ['--version'])).stdout.split('\n')[0]?.trim() ?? program
  } catch (error) {
    return `${program} cannot be run: ${errorMessage(error).split('\n')[0] ?? ''}`
  }
}

/** Reads what the figures depend on. */
export async function hostFacts(): Promise<HostFacts> {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: (await run('uname', ['-r'])).stdout.trim(),
    node: process.version,
    peers: await Promise.all(['nbdcopy', 'nbdkit', 'qemu-img', 'rsync', 'fio'].map(versionOf)),
  }
}

/**
 * Seconds of processor time that the host has taken from this machine since it started though there was work, per processor: `steal` of proc(5).
 * Always 0 where there is no host.
 */
export async function stolenSeconds(): Promise<number> {
  const fields = (await readFile('/proc/stat', 'utf8')).split('\n')[0]?.trim().split(/\s+/)
  const stolen = Number(fields?.[8])
  if (fields?.[0] !== 'cpu' || !Number.isFinite(stolen))
    throw new Error('Cannot find the time taken by the host in /proc/stat')
  return stolen / ticksPerSecond / cpus().length
}

/** The commit that is measured, with a sign when files differ from it. "unknown" outside a repository. */
export async function measuredCommit(root: string): Promise<string> {
  try {
    const commit = (await run('git', ['-C', root, 'rev-parse', '--short=12', 'HEAD'])).stdout.trim()
    // The report itself changes with every row.
    const others = ['.', ':!docs/performance.md', ':!docs/performance.json']
    const { stdout } = await run('git', ['-C', root, 'status', '--porcelain', '--', ...others])
    return stdout.trim() === '' ? commit : `${commit} with changes`
  } catch {
    return 'unknown'
  }
}
