/**
 * Where on its device a file lies, for what reads or writes it without its file system.
 * @module
 */
import { stat } from 'node:fs/promises'
import type { CommandRunner } from '../run_command.ts'
import type { SystemFiles } from '../inventory/system_files.ts'
import { deviceNumberOf } from '../inventory/system_files.ts'
import { sectorSizeBytes } from '../../domain/units.ts'

/** A part of a file and where it lies on the device of its file system. */
export interface FilePart {
  fileByte: number
  deviceByte: number
  bytes: number
}

/** All of a file. */
export interface FilePlaces {
  /** `major:minor` of the device of its file system. */
  device: string
  parts: FilePart[]
}

/** What `filefrag` says of a part that lies there as it is; anything else may be shared, packed, or not written yet. */
const plainFlags = new Set(['', 'last', 'eof', 'last,eof', 'merged', 'merged,eof', 'last,merged,eof'])

/** Parts in what `filefrag -e -b512` prints. @throws Error when the file does not lie there plainly. */
export function parseFilefrag(text: string): FilePart[] {
  const parts: FilePart[] = []
  for (const line of text.split('\n')) {
    const found =
      /^\s*\d+:\s*(\d+)\.\.\s*(\d+):\s*(\d+)\.\.\s*(\d+):\s*(\d+):\s*(?:(\d+):)?\s*(\S*)\s*$/.exec(line)
    if (found === null) continue
    const [logical, , physical, , length] = found.slice(1, 6).map(Number)
    const flags = found[7] ?? ''
    if (!plainFlags.has(flags)) throw new Error(`its file system keeps it in another way (${flags})`)
    parts.push({
      fileByte: (logical ?? 0) * sectorSizeBytes,
      deviceByte: (physical ?? 0) * sectorSizeBytes,
      bytes: (length ?? 0) * sectorSizeBytes,
    })
  }
  return parts
}

/** Where the file lies. @throws Error with why that cannot be said. */
export async function placesOf(path: string, run: CommandRunner): Promise<FilePlaces> {
  const { dev, size } = await stat(path)
  const parts = parseFilefrag(await run('filefrag', ['-e', '-s', '-b512', path]))
  let end = 0
  for (const { fileByte, bytes } of parts) {
    if (fileByte !== end) throw new Error(`it has a hole at byte ${end}`)
    end = fileByte + bytes
  }
  if (end < size) throw new Error(`only ${end} of its ${size} bytes are said to be anywhere`)
  return { device: deviceNumberOf(dev), parts }
}

/** The disk that `device` is, or is a partition of, and where it begins on it; undefined for a device made of others. */
export async function diskUnder(
  files: SystemFiles,
  device: string,
): Promise<{ kernelName: string; firstSector: number } | undefined> {
  const folder = await files.realPath(`/sys/dev/block/${device}`)
  if (folder === undefined) return undefined
  const start = await files.readText(`${folder}/start`)
  const names = folder.split('/')
  const kernelName = (start === undefined ? names.at(-1) : names.at(-2)) ?? ''
  // An array may have a name in place of a number, such as `md_home`.
  if (/^(md|(dm-|bcache|drbd|zd)\d)/.test(kernelName)) return undefined
  return { kernelName, firstSector: Number(start ?? 0) }
}

/** The file in /dev of a device; undefined when there is none. */
export async function deviceFile(files: SystemFiles, device: string): Promise<string | undefined> {
  const text = await files.readText(`/sys/dev/block/${device}/uevent`)
  const name = /^DEVNAME=(.+)$/m.exec(text ?? '')?.[1]
  return name === undefined ? undefined : `/dev/${name}`
}
