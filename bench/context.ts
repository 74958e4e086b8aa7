/**
 * What every row works with.
 * @module
 */
import { truncate, writeFile } from 'node:fs/promises'
import { run } from './command.ts'

/** Where and how often to measure. */
export interface BenchContext {
  /** The project's folder. */
  root: string
  /** In memory: a file system that no disk slows down. */
  folder: string
  /** Measurements of each figure; the middle one counts. */
  runs: number
  /** Size of the disk with random data. */
  sizeBytes: number
  /** Seconds of load, for rows that load. */
  loadSeconds: number
  say(line: string): void
}

/** Makes a file of random bytes. */
export async function makeRandomFile(path: string, sizeBytes: number): Promise<void> {
  const mebibytes = Math.ceil(sizeBytes / 2 ** 20)
  await run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${mebibytes}`, 'status=none'])
}

/** Makes a file of zeros that takes no room. */
export async function makeSparseFile(path: string, sizeBytes: number): Promise<void> {
  await writeFile(path, '')
  await truncate(path, sizeBytes)
}
