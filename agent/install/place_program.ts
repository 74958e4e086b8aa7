/**
 * Puts the running program where the service starts it from.
 * @module
 */
import { chmod, copyFile, link, mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Codes with which a file system refuses a second name for a file: another file system, or one that has no such names. */
const noLinkCodes = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'])

/**
 * Makes `to` the program `from`, in one step: who starts it meanwhile gets the old or the new one, whole, and a running one is not disturbed.
 * Written once: on the same file system it is the same file under another name.
 */
export async function placeProgram(from: string, to: string): Promise<void> {
  if (from === to) return
  const fresh = `${to}.new`
  await mkdir(dirname(to), { recursive: true, mode: 0o755 })
  await rm(fresh, { force: true })
  try {
    await link(from, fresh).catch((error: unknown) => {
      const isRefused = error instanceof Error && 'code' in error && noLinkCodes.has(String(error.code))
      if (!isRefused) throw error
      return copyFile(from, fresh)
    })
    await chmod(fresh, 0o755)
    await rename(fresh, to)
  } finally {
    // Two names of one file: renaming one to the other leaves both.
    await rm(fresh, { force: true })
  }
}
