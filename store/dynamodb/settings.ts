/**
 * Where DynamoDB is, as every process that needs it reads it from its environment.
 * @module
 */
import { z } from 'zod'
import type { DynamoPlace } from './factory.ts'

/** The variables, for the schema of an environment. */
export const dynamoVariables = {
  AWS_ENDPOINT_URL_DYNAMODB: z.string().optional(),
  AWS_REGION: z.string().optional(),
  REHOST_STORE_ACCESS_KEY_ID: z.string().min(1).optional(),
  REHOST_STORE_SECRET_ACCESS_KEY: z.string().min(1).optional(),
}

/**
 * The settings in what such a schema has read. The embedded store has a key of its own, so that the usual credentials stay free for what else is in a
 * cloud; its region is none.
 */
export function dynamoPlaceOf(environment: {
  AWS_ENDPOINT_URL_DYNAMODB?: string | undefined
  AWS_REGION?: string | undefined
  REHOST_STORE_ACCESS_KEY_ID?: string | undefined
  REHOST_STORE_SECRET_ACCESS_KEY?: string | undefined
}): DynamoPlace {
  const { REHOST_STORE_ACCESS_KEY_ID: accessKeyId, REHOST_STORE_SECRET_ACCESS_KEY: secretAccessKey } =
    environment
  const endpoint = environment.AWS_ENDPOINT_URL_DYNAMODB
  if (accessKeyId === undefined || secretAccessKey === undefined)
    return { region: environment.AWS_REGION, endpoint }
  return { region: 'local', endpoint, credentials: { accessKeyId, secretAccessKey } }
}
