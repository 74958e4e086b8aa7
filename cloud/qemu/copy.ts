/**
 * Copies of disks: shared blocks where the file system has reflinks, otherwise the allocated parts only.
 * @module
 */
import { randomBytes } from 'node:crypto'
import { constants, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { copyFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { QemuContext } from './context.ts'
import { flush, isSystemError } from './files.ts'
import { explainNoSpace, requireSpace } from './space.ts'

/** A copy of a large disk on a slow host takes hours; one that takes a day is stuck. */
const copyTimeoutMs = 24 * 3_600_000
/** What the system says when it, the file system or the pair of files has no reflinks. */
const noReflinkCodes = ['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY', 'EPERM']

/** Whether files in `folder` can share blocks, tried with two small files that do not stay. Makes the folder. */
export function hasReflinks(folder: string): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const from = path.join(folder, `reflink-${randomBytes(6).toString('hex')}.unfinished`)
  const to = `${from}.copy`
  try {
    writeFileSync(from, Buffer.alloc(4096, 1), { mode: 0o600 })
    copyFileSync(from, to, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch (error) {
    if (noReflinkCodes.some((code) => isSystemError(error, code))) return false
    throw error
  } finally {
    rmSync(from, { force: true })
    rmSync(to, { force: true })
  }
}

/**
 * Copies a raw disk to a file that does not exist yet, holes staying holes, and flushes it. Nothing may write to `from` meanwhile.
 * @throws NoSpaceError before anything is copied when the allocated bytes do not fit.
 */
export async function copyDisk(context: QemuContext, from: string, to: string, what: string): Promise<void> {
  if (!(await reflinked(from, to))) {
    const folder = path.dirname(to)
    const allocatedBytes = (await stat(from)).blocks * 512
    await requireSpace(folder, allocatedBytes + context.config.minFreeBytes, what)
    const args = ['--reflink=never', '--sparse=auto', '--', from, to]
    try {
      await explainNoSpace(folder, what, context.tools.run('cp', args, copyTimeoutMs))
    } catch (error) {
      await rm(to, { force: true })
      throw error
    }
  }
  await flush(to)
}

async function reflinked(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if (noReflinkCodes.some((code) => isSystemError(error, code))) return false
    throw error
  }
}
