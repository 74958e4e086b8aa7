/**
 * Programs that systemd runs beside the one that seals, at the end of a shutdown. They run at the same time: one that writes may do so after the last
 * look, as recipes for debugging do that make `/` writable once more to keep a log.
 * @module
 */
import type { SystemFiles } from '../inventory/system_files.ts'
import { bootPaths } from '../install/layout.ts'

/** Where systemd looks, by how it was built, and where people think that it does. */
const folders = [
  '/usr/lib/systemd/system-shutdown',
  '/lib/systemd/system-shutdown',
  '/etc/systemd/system-shutdown',
]

/** mdadm's waits for arrays; where there is one nothing is sealed anyway. */
const harmlessLine = /^(\/usr)?\/s?bin\/mdadm --wait-clean --scan$/

/** fwupd's ends at once while no firmware was ever updated. */
const firmwareDatabase = '/var/lib/fwupd/pending.db'
const firmwareGuard = `[ -f ${firmwareDatabase} ] || exit 0`

/** The first that may write, as a reason; undefined when there is none. One that is not executable counts too. */
export async function otherShutdownProgram(files: SystemFiles): Promise<string | undefined> {
  const own = await files.realPath(bootPaths.shutdownHook)
  for (const folder of folders)
    for (const name of await files.list(folder)) {
      const path = `${folder}/${name}`
      if (own !== undefined && (await files.realPath(path)) === own) continue
      if (!(await isHarmless(files, path))) return `${path} runs at the same time and may write`
    }
  return undefined
}

/** Judged by what it says: its name proves nothing. */
async function isHarmless(files: SystemFiles, path: string): Promise<boolean> {
  const text = await files.readText(path)
  if (text === undefined) return false
  const [first, ...others] = text.split('\n').map((line) => line.trim())
  // What is switched off by a link to /dev/null is empty.
  if (text === '') return true
  if (first !== '#!/bin/sh') return false
  const lines = others.filter((line) => line !== '' && !line.startsWith('#'))
  if (lines[0] === firmwareGuard) return (await files.realPath(firmwareDatabase)) === undefined
  return lines.every((line) => harmlessLine.test(line))
}
