/**
 * Files that hold the disks to be measured with.
 * @module
 */
import { createReadStream } from 'node:fs'
import { mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'
import { run } from './command.ts'

/** Makes a file of random bytes. */
export async function makeRandomFile(path: string, sizeBytes: number): Promise<void> {
  const mebibytes = Math.ceil(sizeBytes / 2 ** 20)
  await run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${mebibytes}`, 'status=none'])
}

/** Makes a file that holds `sourcePath` so many times; stretches of zeros take no room. */
export async function repeatSparsely(sourcePath: string, targetPath: string, times: number): Promise<void> {
  const { size } = await stat(sourcePath)
  const mebibytes = Math.ceil(size / 2 ** 20)
  await makeSparseFile(targetPath, mebibytes * 2 ** 20 * times)
  for (let index = 0; index < times; index++) {
    const place = [`seek=${index * mebibytes}`, 'conv=notrunc,sparse', 'bs=1M', 'status=none']
    await run('dd', [`if=${sourcePath}`, `of=${targetPath}`, ...place])
  }
}

const compress = promisify(zstdCompress)
const extentBytes = 2 ** 20
const zeros = Buffer.alloc(extentBytes)

/** What zstd -1 makes of a file, a mebibyte at a time; zeros count nothing. */
export async function compressedBytes(path: string): Promise<number> {
  const params = { [constants.ZSTD_c_compressionLevel]: 1 }
  let sum = 0
  for await (const chunk of createReadStream(path, { highWaterMark: extentBytes })) {
    const bytes = chunk as Buffer
    if (!bytes.equals(zeros.subarray(0, bytes.length))) sum += (await compress(bytes, { params })).length
  }
  return sum
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
