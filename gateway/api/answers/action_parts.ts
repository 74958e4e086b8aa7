/**
 * Post-launch actions, as answers have them.
 * @module
 */
import type { PostLaunch, PostLaunchSettings } from '../../../domain/post_launch_action.ts'
import { z } from 'zod'
import { actionCategories, deployments } from '../../../domain/post_launch_action.ts'
import { answerOf, count } from './answer_schema.ts'

const parameters = {
  parameters: z
    .record(
      z.string(),
      z.array(z.object({ parameterType: z.enum(['STRING', 'SECURE_STRING']), parameterName: z.string() })),
    )
    .exactOptional(),
  externalParameters: z.record(z.string(), z.object({ dynamicPath: z.string() })).exactOptional(),
}

/** The part of a launch configuration that is about actions. */
export const postLaunchSettings = answerOf<PostLaunchSettings>()(
  z
    .object({
      deployment: z.enum(deployments).exactOptional(),
      ssmDocuments: z
        .array(
          z.object({
            ...parameters,
            actionName: z.string(),
            ssmDocumentName: z.string(),
            timeoutSeconds: count.exactOptional(),
            mustSucceedForCutover: z.boolean().exactOptional(),
          }),
        )
        .exactOptional(),
    })
    .meta({
      id: 'PostLaunchSettings',
      description: 'Which launches run actions, and documents to run first',
    }),
)

const outcomes = z
  .array(
    z
      .object({
        key: z.string(),
        actionName: z.string(),
        status: z.enum(['SUCCESS', 'FAILED']),
        failureReason: z.string().exactOptional(),
        mustSucceedForCutover: z.literal(true).exactOptional(),
      })
      .meta({ id: 'ActionOutcome', description: 'How an action went' }),
  )
  .exactOptional()

/** What a server has of actions. */
export const postLaunch = answerOf<PostLaunch>()(
  z
    .object({
      actions: z.array(
        z.object({
          ...parameters,
          actionID: z.string(),
          actionName: z.string(),
          documentIdentifier: z.string(),
          documentVersion: z.string(),
          order: z.int(),
          active: z.boolean(),
          timeoutSeconds: count,
          mustSucceedForCutover: z.boolean(),
          description: z.string().exactOptional(),
          category: z.enum(actionCategories).exactOptional(),
          operatingSystem: z.enum(['linux', 'windows']).exactOptional(),
        }),
      ),
      lastRuns: z.object({ TEST: outcomes, CUTOVER: outcomes }).exactOptional(),
    })
    .meta({
      id: 'PostLaunch',
      description: 'What is run on machines launched for a server, and how that went last',
    }),
)
