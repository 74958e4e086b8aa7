/**
 * The errors that the model declares, as MGN's own client documents them.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../support.ts'

/** Errors that an operation answers with only if it declares them: each client has a type for them, and code that catches it. */
export const declaredShapes = [
  'UninitializedAccountException',
  'ResourceNotFoundException',
  'ConflictException',
  'ServiceQuotaExceededException',
] as const

const commands = 'node_modules/@aws-sdk/client-mgn/dist-types/commands'

/** The names of all errors that `operation` declares. @throws Error for one that the client does not have. */
export async function modelErrors(operation: string): Promise<string[]> {
  const text = await readFile(join(projectRoot, commands, `${operation}Command.d.ts`), 'utf8')
  return [...text.matchAll(/@throws \{@link (\w+)\}/g)].map(([, name = '']) => name)
}
