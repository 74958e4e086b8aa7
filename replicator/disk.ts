/**
 * What the replicator asks of a disk, whether file, device or the tests' own.
 * @module
 */
import { WireError } from '../wire/wire_error.ts'

/** Positioned reads and writes. Both may do less than asked and answer how many bytes they did, as the system calls do. */
export interface Disk {
  readonly sizeBytes: number
  read(into: Uint8Array, offsetBytes: number): Promise<number>
  write(from: Uint8Array, offsetBytes: number): Promise<number>
  /** Everything written before the call is durable when it resolves. */
  flush(): Promise<void>
  /** @throws Error when the disk is no longer what stands where it was opened: durable in it is durable nowhere. */
  check(): Promise<void>
  close(): Promise<void>
}

/** Reads exactly `into.length` bytes. @throws Error when the disk ends before. */
export async function readFully(disk: Disk, into: Uint8Array, offsetBytes: number): Promise<void> {
  let done = 0
  while (done < into.length) {
    const count = await disk.read(done === 0 ? into : into.subarray(done), offsetBytes + done)
    if (count === 0) throw new Error(`Cannot read at byte ${offsetBytes + done}: the disk ends there`)
    done += count
  }
}

/** Writes exactly all of `from`. @throws Error when the disk takes no more. */
export async function writeFully(disk: Disk, from: Uint8Array, offsetBytes: number): Promise<void> {
  let done = 0
  while (done < from.length) {
    const count = await disk.write(done === 0 ? from : from.subarray(done), offsetBytes + done)
    if (count === 0) throw new Error(`Cannot write at byte ${offsetBytes + done}: the disk takes no more`)
    done += count
  }
}

const noSpaceCodes = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** The system's code of a failure: ENOENT, EIO. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** What the system answers for sectors that the disk can't give back. Everything else is trouble with the whole disk. */
const unreadableCodes = new Set(['EIO', 'ENODATA', 'EILSEQ'])

/** Whether a read failed because of single sectors, so that others may well be read. */
export function isUnreadable(error: unknown): boolean {
  return unreadableCodes.has(codeOf(error) ?? '')
}

/**
 * Trouble with a disk as the error that the agent and the operator see. A WireError passes unchanged.
 * @param doing what could not be done, as it stands after "Cannot": "write to volume vol-1".
 */
export function diskError(error: unknown, doing: string, diskIndex?: number): WireError {
  if (error instanceof WireError) return error
  const code = codeOf(error)
  const detail = { cause: error, ...(diskIndex === undefined ? {} : { diskIndex }) }
  if (code !== undefined && noSpaceCodes.has(code)) {
    return new WireError(
      'NO_SPACE',
      `Cannot ${doing}: no space is left in the staging area (${code}). Nothing that was acknowledged is lost; ` +
        'free space there, and replication goes on by itself',
      detail,
    )
  }
  const shown = code ?? (error instanceof Error ? error.message : String(error))
  return new WireError(
    'VOLUME_IO_ERROR',
    `Cannot ${doing}: ${shown}. Nothing that was acknowledged is lost; check the staging disk, replication is tried ` +
      'again by itself',
    detail,
  )
}
