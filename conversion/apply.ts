/**
 * Carries out a plan inside the appliance.
 * @module
 */
import { dirname } from 'node:path'
import { errorMessage, PermanentError, unreachable } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import { ApplianceError } from './guestfish.ts'
import { extendInitramfs } from './linux/initramfs_archive.ts'
import type { Change, Operation } from './types.ts'

/** Does one operation. Each may have been done before. */
async function perform(appliance: Appliance, operation: Operation): Promise<void> {
  switch (operation.kind) {
    case 'write':
      return appliance.write(operation.path, operation.text, operation.mode)
    case 'rename':
      if (!(await appliance.asks('exists', operation.path))) return
      await appliance.run('mkdir-p', dirname(operation.to))
      await appliance.run('mv', operation.path, operation.to)
      return
    case 'remove':
      await appliance.run('rm-rf', operation.path)
      return
    case 'copy':
      await appliance.run('mkdir-p', dirname(operation.to))
      await appliance.run('cp', operation.path, operation.to)
      return
    case 'link':
      await appliance.run('mkdir-p', dirname(operation.path))
      await appliance.run('ln-sf', operation.target, operation.path)
      return
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
      if (!(error instanceof ApplianceError)) throw error
      throw new PermanentError(
        `Cannot do the change ${change.name} (${change.what}): ${errorMessage(error)}`,
        { cause: error },
      )
    }
  }
}
