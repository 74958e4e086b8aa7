/**
 * What an action gives its document: kept values, opened, and what is known of the server.
 * @module
 */
import type { MachineId } from '../../domain/ids.ts'
import type { ActionRun } from '../../domain/post_launch_action.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { PermanentError } from '../../domain/errors.ts'
import type { Parameter } from '../../domain/parameter.ts'
import { sealNameOf } from '../../domain/parameter.ts'
import { valueAt } from '../../domain/server_path.ts'
import type { Bench } from '../bench.ts'

/**
 * The values of a document's parameters. Secret.
 * @throws PermanentError naming what is not there.
 */
export async function valuesOf(
  { store, secrets }: Pick<Bench, 'store' | 'secrets'>,
  server: SourceServer,
  machineId: MachineId,
  { parameters = {}, externalParameters = {} }: ActionRun,
): Promise<Record<string, string[]>> {
  const values: Record<string, string[]> = {}
  for (const [name, references] of Object.entries(parameters)) {
    const own: string[] = []
    for (const { parameterName } of references) {
      const found = await store.get('parameter', { id: parameterName })
      if (found === undefined) {
        throw new PermanentError(
          `Parameter ${parameterName} is not there; keep it with rehost parameters put and launch again`,
        )
      }
      own.push(opened(secrets, found.value))
    }
    values[name] = own
  }
  for (const [name, { dynamicPath }] of Object.entries(externalParameters)) {
    const value = valueAt(server, machineId, dynamicPath)
    if (value === undefined) throw new PermanentError(`The server has no ${dynamicPath}`)
    values[name] = [value]
  }
  return values
}

/** @throws PermanentError when it was sealed with another key: that does not pass. */
function opened(secrets: Bench['secrets'], { name, sealedValue }: Parameter): string {
  try {
    return secrets.unseal(sealedValue, sealNameOf(name))
  } catch (error) {
    throw new PermanentError(`Cannot open parameter ${name}; keep it once more`, { cause: error })
  }
}
