/**
 * Files that hold the disks to be measured with.
 * @module
 */
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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

/** Runs `use` in a folder on a file system of its own with reflinks (btrfs), which is gone afterwards. */
export async function withReflinks<T>(
  folder: string,
  sizeBytes: number,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const image = join(folder, 'btrfs.img')
  const place = join(folder, 'btrfs')
  await makeSparseFile(image, sizeBytes)
  await run('mkfs.btrfs', ['--quiet', image])
  await mkdir(place)
  await run('mount', ['-o', 'loop', image, place])
  try {
    return await use(place)
  } finally {
    await run('umount', [place])
    await rm(image)
    await rm(place, { recursive: true })
  }
}
