/**
 * The operator's own scripts around a freeze: which there are, and whether they may be run. Only root may have written them; nothing ever comes
 * from the network.
 * @module
 */
import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Folders of hooks, below the one that is named; their scripts run in the order of their names. */
export const hookPhases = { preFreeze: 'pre-freeze', postThaw: 'post-thaw' } as const

/** Scripts of both phases. */
export interface HookSet {
  preFreeze: string[]
  postThaw: string[]
}

/** A script or folder that must not be trusted, or can't be run: what it is and what to do. */
export class HookRefusedError extends Error {
  override name = 'HookRefusedError'
}

/** What editors and package managers leave behind is no hook. */
const hookName = /^[0-9A-Za-z][0-9A-Za-z_.-]*$/
const leftBehind = /\.(bak|dpkg-\w+|rpm\w+|swp|orig)$/

/** Bits by which others than the owner may write. */
const othersMayWrite = 0o022
const ownerMayRun = 0o100

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** @throws HookRefusedError unless only root may write what is at `path`. */
function requireRoots(path: string, stats: Stats, kind: 'folder' | 'file'): void {
  const isKind = kind === 'folder' ? stats.isDirectory() : stats.isFile()
  if (!isKind) throw new HookRefusedError(`${path} is no ${kind}; move it away`)
  if (stats.uid !== 0)
    throw new HookRefusedError(`${path} belongs to user ${stats.uid}; chown root:root ${path}`)
  if ((stats.mode & othersMayWrite) !== 0)
    throw new HookRefusedError(`${path} may be written by others than root; chmod go-w ${path}`)
}

async function hooksIn(folder: string): Promise<string[]> {
  const stats = await statIfThere(folder)
  if (stats === undefined) return []
  requireRoots(folder, stats, 'folder')
  const names = (await readdir(folder)).filter((name) => hookName.test(name) && !leftBehind.test(name))
  const hooks: string[] = []
  for (const name of names.sort()) {
    const path = join(folder, name)
    const own = await lstat(path)
    requireRoots(path, own, 'file')
    if ((own.mode & ownerMayRun) === 0)
      throw new HookRefusedError(`${path} is not executable; chmod 755 ${path}, or move it away`)
    hooks.push(path)
  }
  return hooks
}

/**
 * The hooks in `folder`; none when it does not exist.
 * @throws HookRefusedError naming what is not root's alone, or can't be run.
 */
export async function findHooks(folder: string): Promise<HookSet> {
  const stats = await statIfThere(folder)
  if (stats === undefined) return { preFreeze: [], postThaw: [] }
  const parent = dirname(folder)
  requireRoots(parent, await lstat(parent), 'folder')
  requireRoots(folder, stats, 'folder')
  return {
    preFreeze: await hooksIn(join(folder, hookPhases.preFreeze)),
    postThaw: await hooksIn(join(folder, hookPhases.postThaw)),
  }
}
