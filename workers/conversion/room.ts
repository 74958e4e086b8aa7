/**
 * Room for a conversion: asked for before it begins, and looked at again when it fails. An appliance whose disk cannot grow stands still
 * until it is given up, and what it says then names anything but the reason.
 * @module
 */
import { freeBytes, humanBytes, NoSpaceError, requireSpace } from '../../cloud/qemu/space.ts'

/** What the changes to a guest and the appliance's own files take at most, with room to spare. */
const neededBytes = 256 * 2 ** 20
/** With less than this nothing more can be written. */
const fullBytes = 4 * 2 ** 20

/**
 * Runs `work`, which writes into `folders`.
 * @throws NoSpaceError when one of them has no room, or has none left when `work` fails; else what `work` throws.
 */
export async function withRoom<T>(folders: readonly string[], work: () => Promise<T>): Promise<T> {
  for (const folder of folders) await requireSpace(folder, neededBytes, 'convert the disks')
  try {
    return await work()
  } catch (error) {
    for (const folder of folders) {
      const free = await freeBytes(folder)
      if (free >= fullBytes) continue
      throw new NoSpaceError(
        `Cannot convert the disks: ${folder} is full (${humanBytes(free)} free); free space there or move REHOST_DATA_DIR to a larger disk`,
        { cause: error },
      )
    }
    throw error
  }
}
