/**
 * Parameters of post-launch actions: kept sealed, as scripts hold secrets.
 * @module
 */
import { z } from 'zod'
import type { Parameter } from '../domain/parameter.ts'
import { ConflictError, InvalidInputError, NotFoundError } from '../domain/errors.ts'
import { maxParameterBytes, maxParameters, parameterNamePattern, sealNameOf } from '../domain/parameter.ts'
import { actionsInWords, actionsTaking } from '../domain/parameter_use.ts'
import { listAll } from '../store/listing.ts'
import { mutate } from '../store/mutate.ts'
import type { Versioned } from '../store/store.ts'
import { RevisionConflictError } from '../store/store.ts'
import type { ParameterView, ParameterWithValue } from './api/answers/access_answers.ts'
import type { Services } from './services.ts'
import type { VersionCheck } from './versions.ts'
import { anyVersion, removeChecked, revisionVersion } from './versions.ts'

/** What may be asked for. */
export const parameterSchema = z.strictObject({
  /** Of `commands` it is lines of the script. */
  value: z.string().min(1).max(maxParameterBytes),
})

/** The version of what is not there: nobody can have seen it. */
const noVersion = 'none'

type ParameterServices = Pick<Services, 'store' | 'secretBox' | 'clock'>

/** A parameter without its value, sealed as it is. */
export function openPart({ sealedValue: _value, ...open }: Parameter): ParameterView {
  return open
}

/** All of them, by name. */
export async function findParameters({ store }: Pick<Services, 'store'>): Promise<Parameter[]> {
  return listAll(store, 'parameter')
}

/** Its value, and the revision of what is stored. @throws NotFoundError. */
export async function readParameter(
  { store, secretBox }: Pick<Services, 'store' | 'secretBox'>,
  name: string,
): Promise<Versioned<ParameterWithValue>> {
  const { value: kept, revision } = await requireParameter(store, name)
  const value = secretBox.unseal(kept.sealedValue, sealNameOf(name))
  return { value: { ...openPart(kept), value }, revision }
}

/**
 * Keeps a value, in the place of the one that has the name.
 * @throws InvalidInputError for a name or a value that cannot be; ConflictError when there are too many; whatever `check` throws.
 */
export async function putParameter(
  services: ParameterServices,
  name: string,
  { value }: z.infer<typeof parameterSchema>,
  { actor, check = anyVersion }: { actor: string; check?: VersionCheck },
): Promise<Versioned<Parameter>> {
  const { store, secretBox, clock } = services
  if (!parameterNamePattern.test(name))
    throw new InvalidInputError(
      'name',
      'A parameter’s name is 1 to 512 letters, digits, points, dashes and underscores',
    )
  const lengthBytes = Buffer.byteLength(value)
  if (lengthBytes === 0 || lengthBytes > maxParameterBytes || value.includes('\0'))
    throw new InvalidInputError(
      'value',
      `A parameter’s value has 1 to ${maxParameterBytes} bytes and no null character; this one has ${lengthBytes} bytes`,
    )
  const next: Parameter = {
    name,
    sealedValue: secretBox.seal(value, sealNameOf(name)),
    changedAt: clock().toISOString(),
    changedBy: actor,
  }
  const key = { id: name }
  const replace = () =>
    mutate(store, 'parameter', key, (_known, revision) => {
      check(revisionVersion(revision))
      return next
    })
  if ((await store.get('parameter', key)) !== undefined) return replace()
  check(noVersion)
  if ((await findParameters(services)).length >= maxParameters)
    throw new ConflictError(`There are ${maxParameters} parameters already; delete one that is not used`)
  try {
    return { value: next, revision: await store.create('parameter', key, next) }
  } catch (error) {
    // Somebody else made it at the same moment: the later value counts.
    if (!(error instanceof RevisionConflictError)) throw error
    return replace()
  }
}

/** How a value is forgotten. */
export const parameterRemovalSchema = z.strictObject({
  force: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: 'Also a value that actions take; they fail at the next launch' }),
})

/**
 * Forgets a value. What actions take is known to the moment in small fleets, and a little later in large ones.
 * @throws NotFoundError; ConflictError naming the actions that take it, unless `isForced`; whatever `check` throws.
 */
export async function deleteParameter(
  { store, fleet }: Pick<Services, 'store' | 'fleet'>,
  name: string,
  { check = anyVersion, isForced = false }: { check?: VersionCheck; isForced?: boolean } = {},
): Promise<void> {
  await requireParameter(store, name)
  if (!isForced) {
    const taking = actionsTaking(name, await fleet.list(), await listAll(store, 'launchTemplate'))
    if (taking.length > 0)
      throw new ConflictError(
        `The parameter ${name} is taken by post-launch actions, which would fail without it: ${actionsInWords(taking)}. ` +
          'Change or remove them first, or delete it all the same by force',
      )
  }
  await removeChecked(store, 'parameter', { id: name }, check)
}

async function requireParameter(store: Services['store'], name: string): Promise<Versioned<Parameter>> {
  const found = parameterNamePattern.test(name) ? await store.get('parameter', { id: name }) : undefined
  if (found === undefined) throw new NotFoundError('parameter', name)
  return found
}
