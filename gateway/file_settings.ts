/**
 * Where files of imports and exports are, as the gateway reads it from its environment.
 * @module
 */
import { z } from 'zod'
import type { S3Place } from './s3_files.ts'

/** An address of a store, which is shown to operators: secrets have no place in it. */
const endpoint = z.url({ protocol: /^https?$/, error: 'http://… or https://…' }).refine((text) => {
  const { username, password, search } = new URL(text)
  return username === '' && password === '' && search === ''
}, 'credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not from the address')

/** The variables, for the schema of an environment. */
export const fileVariables = {
  REHOST_FILE_STORE: z.enum(['folder', 's3']).optional(),
  REHOST_S3_ENDPOINT: endpoint.optional(),
  REHOST_S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, 'a region such as eu-central-1')
    .optional(),
  REHOST_S3_PATH_STYLE: z.enum(['true', 'false']).optional(),
}

/** The settings in what such a schema has read; undefined for a folder of this host. */
export function s3PlaceOf(environment: {
  REHOST_FILE_STORE?: 'folder' | 's3' | undefined
  REHOST_S3_ENDPOINT?: string | undefined
  REHOST_S3_REGION?: string | undefined
  REHOST_S3_PATH_STYLE?: 'true' | 'false' | undefined
  AWS_REGION?: string | undefined
}): S3Place | undefined {
  const { REHOST_S3_ENDPOINT: given, REHOST_FILE_STORE: store } = environment
  if ((store ?? (given === undefined ? 'folder' : 's3')) === 'folder') return undefined
  return {
    region: environment.REHOST_S3_REGION ?? (environment.AWS_REGION || 'us-east-1'),
    ...(given === undefined ? {} : { endpoint: given }),
    // Stores of one's own seldom have a name for each bucket.
    isPathStyle: (environment.REHOST_S3_PATH_STYLE ?? String(given !== undefined)) === 'true',
  }
}
