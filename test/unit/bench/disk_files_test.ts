import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { compressedBytes, repeatSparsely } from '../../../bench/disk_files.ts'

const mebibyte = 2 ** 20

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-disk-files-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('repeats a disk behind itself, and takes no room for its zeros', async () => {
  const disk = Buffer.concat([randomBytes(mebibyte), Buffer.alloc(2 * mebibyte), randomBytes(mebibyte)])
  const source = join(folder, 'source')
  const target = join(folder, 'target')
  await writeFile(source, disk)
  await repeatSparsely(source, target, 3)
  expect((await readFile(target)).equals(Buffer.concat([disk, disk, disk]))).toBe(true)
  expect((await stat(target)).blocks * 512).toBeLessThan(7 * mebibyte)
})

it('counts what zstd leaves of a disk, and zeros not at all', async () => {
  const path = join(folder, 'disk')
  await writeFile(path, Buffer.alloc(4 * mebibyte))
  expect(await compressedBytes(path)).toBe(0)
  await writeFile(path, Buffer.concat([Buffer.alloc(mebibyte, 'text '), randomBytes(mebibyte)]))
  const bytes = await compressedBytes(path)
  expect(bytes).toBeGreaterThan(mebibyte)
  expect(bytes).toBeLessThan(1.1 * mebibyte)
})
