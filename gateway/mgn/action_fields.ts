/**
 * The fields of post-launch actions, as the service model has them, and what must hold among them.
 * @module
 */
import { z } from 'zod'
import type { ActionParameters, LaunchDocument, PostLaunchAction } from '../../domain/post_launch_action.ts'
import { checkDocumentUse, maxCommandSeconds, standardCommandSeconds } from '../../domain/command_document.ts'
import { InvalidInputError } from '../../domain/errors.ts'
import { parameterNamePattern } from '../../domain/parameter.ts'
import { actionCategories, deployments } from '../../domain/post_launch_action.ts'
import { isServerPath, serverPaths } from '../../domain/server_path.ts'
import { plainName } from './fields.ts'

/** Identifies an action among those of its server or template. */
export const actionID = z
  .string()
  .min(1)
  .max(64)
  .regex(/^.*[0-9a-zA-Z]$/, 'must be one line that ends with a letter or digit')

const parameterName = z.string().regex(/^[A-Za-z0-9]{1,1011}$/, 'must be letters and digits')

const atMost20 = (value: object): boolean => Object.keys(value).length <= 20

const parameters = z
  .record(
    parameterName,
    z
      .array(
        z.object({
          parameterType: z.enum(['STRING', 'SECURE_STRING']),
          parameterName: z
            .string()
            .regex(parameterNamePattern, 'must be letters, digits, points, dashes and underscores'),
        }),
      )
      .max(10),
  )
  .refine(atMost20, 'must have at most 20 parameters')

const externalParameters = z
  .record(
    parameterName,
    z.object({
      dynamicPath: z
        .string()
        .refine(isServerPath, `must lead to something that is known of servers: ${serverPaths.join(', ')}`),
    }),
  )
  .refine(atMost20, 'must have at most 20 parameters')

const timeoutSeconds = z.int().min(1).max(maxCommandSeconds)

const ofDocument = {
  timeoutSeconds: timeoutSeconds.optional(),
  mustSucceedForCutover: z.boolean().optional(),
  parameters: parameters.optional(),
  externalParameters: externalParameters.optional(),
}

/** Members of an action, beside whose it is. */
export const actionMembers = {
  actionID,
  actionName: plainName,
  documentIdentifier: z.string().max(256),
  documentVersion: z
    .string()
    .regex(/^(\$DEFAULT|\$LATEST|[0-9]{1,9})$/, 'must be $DEFAULT, $LATEST or a number')
    .optional(),
  order: z.int().min(1001).max(10_000),
  active: z.boolean().optional(),
  ...ofDocument,
  description: z
    .string()
    .max(256)
    .regex(/^[0-9a-zA-Z ():/.,'\-_#*; ]*$/, "must be letters, digits, spaces and ():/.,'-_#*;")
    .optional(),
  category: z.enum(actionCategories).optional(),
  operatingSystem: z.enum(['linux', 'windows']).optional(),
}
type ActionInput = z.infer<z.ZodObject<typeof actionMembers>>

/** What of actions stands in a launch configuration. */
export const postLaunchActions = z.object({
  deployment: z.enum(deployments).optional(),
  s3LogBucket: z.string().max(63).optional(),
  s3OutputKeyPrefix: z.string().max(256).optional(),
  cloudWatchLogGroupName: z.string().max(512).optional(),
  ssmDocuments: z
    .array(
      z.object({
        actionName: z.string().min(1).max(256),
        ssmDocumentName: z
          .string()
          .regex(/^[A-Za-z0-9/:_.-]{3,172}$/, 'must be 3 to 172 letters, digits and /:_.-'),
        ...ofDocument,
      }),
    )
    .max(10)
    .optional(),
})
export type PostLaunchInput = z.infer<typeof postLaunchActions>

/** Without members that are undefined, which the input's types allow and ours do not. */
function parametersOf(input: {
  parameters?: ActionParameters['parameters'] | undefined
  externalParameters?: ActionParameters['externalParameters'] | undefined
}): ActionParameters {
  return {
    ...(input.parameters === undefined ? {} : { parameters: input.parameters }),
    ...(input.externalParameters === undefined ? {} : { externalParameters: input.externalParameters }),
  }
}

/** @throws InvalidInputError when a parameter is given in two ways, or none of it. */
function namesOf({ parameters: kept = {}, externalParameters: found = {} }: ActionParameters): string[] {
  const twice = Object.keys(kept).find((name) => Object.hasOwn(found, name))
  if (twice !== undefined)
    throw new InvalidInputError(
      'externalParameters',
      `must have no ${twice}, as parameters have it; give it once`,
    )
  const given = Object.entries(kept).filter(([, references]) => references.length > 0)
  return [...given.map(([name]) => name), ...Object.keys(found)]
}

/**
 * The action that the input asks for; what is left out is as MGN has it.
 * @throws InvalidInputError naming the field, when nothing could run it.
 */
export function actionOf(input: ActionInput): PostLaunchAction {
  const {
    actionID: id,
    actionName,
    documentIdentifier,
    order,
    description,
    category,
    operatingSystem,
  } = input
  const given = parametersOf(input)
  const { documentVersion } = input
  if (operatingSystem === 'windows')
    throw new InvalidInputError('operatingSystem', 'must be linux: Windows cannot be launched yet')
  checkDocumentUse({ documentIdentifier, documentVersion, parameterNames: namesOf(given) })
  return {
    actionID: id,
    actionName,
    documentIdentifier,
    documentVersion: documentVersion ?? '$DEFAULT',
    order,
    active: input.active ?? true,
    timeoutSeconds: input.timeoutSeconds ?? standardCommandSeconds,
    mustSucceedForCutover: input.mustSucceedForCutover ?? false,
    ...given,
    ...(description === undefined ? {} : { description }),
    ...(category === undefined ? {} : { category }),
    ...(operatingSystem === undefined ? {} : { operatingSystem }),
  }
}

/** What cannot be done with the output of actions, by the member that asks for it. */
export function logPromises(input: PostLaunchInput | undefined): { name: string; message: string }[] {
  const asked = ['s3LogBucket', 's3OutputKeyPrefix', 'cloudWatchLogGroupName'] as const
  return asked.flatMap((name) =>
    (input?.[name] ?? '') === ''
      ? []
      : [
          {
            name: `postLaunchActions.${name}`,
            message: 'the output of actions is kept with the job, as actions.log; leave it out',
          },
        ],
  )
}

/**
 * The documents of a launch configuration.
 * @throws InvalidInputError naming the field, when nothing could run one.
 */
export function documentsOf(input: PostLaunchInput): LaunchDocument[] {
  return (input.ssmDocuments ?? []).map((document, index) => {
    const given = parametersOf(document)
    try {
      checkDocumentUse({ documentIdentifier: document.ssmDocumentName, parameterNames: namesOf(given) })
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error
      const member = error.field === 'documentIdentifier' ? 'ssmDocumentName' : error.field
      const field = `postLaunchActions.ssmDocuments.${index}.${member}`
      throw new InvalidInputError(field, error.message, { cause: error })
    }
    const { actionName, ssmDocumentName, timeoutSeconds: limit, mustSucceedForCutover } = document
    return {
      actionName,
      ssmDocumentName,
      ...(limit === undefined ? {} : { timeoutSeconds: limit }),
      ...(mustSucceedForCutover === undefined ? {} : { mustSucceedForCutover }),
      ...given,
    }
  })
}
