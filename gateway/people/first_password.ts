/**
 * The administrator's first password: made up, and kept in a file until whoever started Rehost takes it from there.
 * @module
 */
import { link, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { RandomBytes } from '../../domain/ids.ts'

/** Letters and digits that cannot be mistaken for one another when read aloud. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'

/** Four groups of five: about 99 bits. */
function newPassword(random: RandomBytes): string {
  const groups = [0, 1, 2, 3].map(() => {
    let group = ''
    while (group.length < 5) {
      for (const byte of random(8)) {
        // Rejecting the rest of the range keeps every letter as likely as any other.
        if (byte < 248 && group.length < 5) group += alphabet[byte % alphabet.length] ?? ''
      }
    }
    return group
  })
  return groups.join('-')
}

/**
 * The password in `file`, readable by its owner alone. It is made up unless a start before this one, or one at the same moment, has left
 * one; either way it is whole and on the disk when this returns.
 */
export async function firstPassword(file: string, random: RandomBytes): Promise<string> {
  const folder = dirname(file)
  const draft = await mkdtemp(join(folder, 'first-sign-in-new-'))
  try {
    await writeDurably(join(draft, 'password'), newPassword(random))
    // Of two racing starts one wins, and a file that is there is never half written.
    await link(join(draft, 'password'), file)
    await syncFolder(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return (await readFile(file, 'utf8')).trim()
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(`${text}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
