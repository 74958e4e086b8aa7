/**
 * Files that hold the disks to be measured with.
 * @module
 */
import { truncate, writeFile } from 'node:fs/promises'
import { run } from './command.ts'

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
