/**
 * Carries out a plan inside the appliance.
 * @module
 */
import { errorMessage, PermanentError } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import type { Change, Operation } from './types.ts'

/** Does one operation. Each may have been done before. */
async function perform(appliance: Appliance, operation: Operation): Promise<void> {
  switch (operation.kind) {
    case 'write':
      return appliance.write(operation.path, operation.text, operation.mode)
    case 'rename':
      if (await appliance.asks('exists', operation.path)) await appliance.run('mv', operation.path, operation.to)
      return
    case 'remove':
      await appliance.run('rm-rf', operation.path)
      return
    case 'copy':
      await appliance.run('mkdir-p', operation.to.slice(0, operation.to.lastIndexOf('/')))
      await appliance.run('cp', operation.path, operation.to)
      return
    case 'run':
      await appliance.run('sh', operation.command)
  }
}

/** The paths an operation touches. */
export function pathsOf(operation: Operation): string[] {
  switch (operation.kind) {
    case 'write':
    case 'remove':
      return [operation.path]
    case 'rename':
      return [operation.path, operation.to]
    case 'copy':
      return [operation.to]
    case 'run':
      return ['/boot']
  }
}

/** Does all changes in order. @throws PermanentError naming the change that could not be done. */
export async function apply(appliance: Appliance, changes: readonly Change[], log: (line: string) => void): Promise<void> {
  for (const change of changes) {
    log(`${change.name}: ${change.what}`)
    try {
      for (const operation of change.operations) await perform(appliance, operation)
    } catch (error) {
      throw new PermanentError(`Cannot do the change ${change.name} (${change.what}): ${errorMessage(error)}`, { cause: error })
    }
  }
}
