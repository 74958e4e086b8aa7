/**
 * Carries out a plan inside the appliance.
 * @module
 */
import { basename, dirname, join } from 'node:path'
import { errorMessage, PermanentError, unreachable } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import { isAboutGuest } from './guestfish.ts'
import { extendInitramfs } from './linux/initramfs_archive.ts'
import type { Change, Operation } from './types.ts'

/**
 * `path` without links among its folders. The commands that are programs of the appliance would follow a link of the guest's to an
 * absolute path into the appliance's own files, and find nothing there.
 */
async function direct(appliance: Appliance, path: string): Promise<string> {
  const folder = (await appliance.run('realpath', dirname(path))).trimEnd()
  return join(folder, basename(path))
}

/** As {@link direct}, for what is to be made there. */
async function makeFolderOf(appliance: Appliance, path: string): Promise<string> {
  await appliance.run('mkdir-p', dirname(path))
  return direct(appliance, path)
}

/** Does one operation. Each may have been done before. */
async function perform(appliance: Appliance, operation: Operation): Promise<void> {
  const { kind, path } = operation
  switch (kind) {
    case 'write':
      return appliance.write(path, operation.text, operation.mode)
    case 'rename':
      if (!(await appliance.asks('exists', path))) return
      await appliance.run('mv', await direct(appliance, path), await makeFolderOf(appliance, operation.to))
      return
    case 'remove':
      if (await appliance.asks('exists', dirname(path)))
        await appliance.run('rm-rf', await direct(appliance, path))
      return
    case 'copy':
      await appliance.run('cp', await direct(appliance, path), await makeFolderOf(appliance, operation.to))
      return
    case 'link':
      await appliance.run('ln-sf', operation.target, await makeFolderOf(appliance, path))
      return
    case 'label':
      return appliance.inheritLabel(path)
    case 'extendInitramfs':
      return extendInitramfs(appliance, operation)
    default:
      unreachable(operation)
  }
}

/** The paths an operation writes, moves or removes. */
export function pathsOf(operation: Operation): string[] {
  switch (operation.kind) {
    case 'rename':
      return [operation.path, operation.to]
    case 'copy':
      return [operation.to]
    default:
      return [operation.path]
  }
}

/**
 * Does all changes in order.
 * @throws PermanentError naming the change that could not be done; the signal's reason when aborted.
 */
export async function apply(
  appliance: Appliance,
  changes: readonly Change[],
  log: (line: string) => void,
): Promise<void> {
  for (const change of changes) {
    log(`${change.name}: ${change.what}`)
    try {
      for (const operation of change.operations) await perform(appliance, operation)
    } catch (error) {
      if (!isAboutGuest(error)) throw error
      throw new PermanentError(
        `Cannot do the change ${change.name} (${change.what}): ${errorMessage(error)}`,
        { cause: error },
      )
    }
  }
}
