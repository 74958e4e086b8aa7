/**
 * What gateway and workers must be told alike about events: the limits whose crossing is told, and what events say of where they come from.
 * @module
 */
import { z } from 'zod'
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { Thresholds } from '../domain/thresholds.ts'

/** The variables of the limits. */
export const thresholdVariables = {
  REHOST_LAG_LIMIT_SECONDS: z.coerce.number().min(0).max(31_536_000).default(300),
  REHOST_BACKLOG_LIMIT_MB: z.coerce.number().min(0).max(1e9).default(10_240),
}

/** The limits that the variables mean. */
export function thresholdsOf(values: {
  REHOST_LAG_LIMIT_SECONDS: number
  REHOST_BACKLOG_LIMIT_MB: number
}): Thresholds {
  return {
    lagMs: values.REHOST_LAG_LIMIT_SECONDS * 1000,
    backlogBytes: values.REHOST_BACKLOG_LIMIT_MB * 2 ** 20,
  }
}

/** The variables of account and region, as they stand in ARNs. */
export const originVariables = {
  REHOST_ACCOUNT_ID: z
    .string()
    .regex(/^\d{12}$/, 'must be 12 digits')
    .default('000000000000'),
  REHOST_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'a region like us-east-1')
    .default('us-east-1'),
}

/** The origin that the variables mean. */
export function originOf(values: { REHOST_ACCOUNT_ID: string; REHOST_REGION: string }): EventOrigin {
  return { accountId: values.REHOST_ACCOUNT_ID, region: values.REHOST_REGION }
}
