/**
 * Where what outlives a run of the agent is kept, and whether it can be kept there.
 * @module
 */
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Where the folders of all agents are. */
export const runFolder = '/run/rehost'

/** The kernel's numbers of file systems in memory: tmpfs and ramfs. */
const inMemory = new Set([0x0102_1994, 0x8584_58f6])

/**
 * Whether `folder` is, or would be made, in memory. On a disk every mark written would be a change to mark, and a freeze of its file system would
 * stop the agent itself.
 */
export async function isInMemory(folder: string): Promise<boolean> {
  try {
    const { type } = await statfs(folder)
    return inMemory.has(type)
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing || folder === dirname(folder)) throw error
    return isInMemory(dirname(folder))
  }
}
