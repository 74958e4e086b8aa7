/**
 * The installation, whom it has refused, and its audit log, as they are answered.
 * @module
 */
import type { AuditEntry } from '../../../domain/audit.ts'
import type { RefusedCall } from '../../refusals.ts'
import type { Installation } from '../../services.ts'
import { z } from 'zod'
import { answerOf, count, listOf, moment } from './answer_schema.ts'

/** What agents are told. */
export const installation = answerOf<Installation>()(
  z
    .object({
      version: z.string(),
      agentUrl: z.string(),
      pin: z.string(),
      agentPort: z.int(),
      replicationPort: z.int(),
    })
    .meta({
      id: 'Installation',
      description: 'Version, addresses, and the pin of the key that agents trust',
    }),
)

/** Refused calls. */
export const refusedCalls = listOf(
  answerOf<RefusedCall>()(
    z
      .object({
        kind: z.enum(['ENROLMENT', 'CERTIFICATE']),
        address: z.string(),
        subject: z.string().optional(),
        tokenId: z.string().optional(),
        at: moment,
        count,
        detail: z.string(),
      })
      .meta({ id: 'RefusedCall', description: 'An agent that was refused, and why' }),
  ),
)
export type RefusedCalls = z.infer<typeof refusedCalls>

const auditEntry = answerOf<AuditEntry>()(
  z
    .object({
      sequence: count,
      at: moment,
      actor: z.string(),
      via: z.enum(['PAGE', 'API', 'MGN']),
      action: z.string(),
      subject: z.string().exactOptional(),
      address: z.string(),
      outcome: z.enum(['ASKED', 'REFUSED']),
      status: z.int().exactOptional(),
      previousHash: z.string(),
      hash: z.string(),
    })
    .meta({ id: 'AuditEntry', description: 'An entry of the audit log' }),
)

/** Entries, page by page. */
export const auditPage = listOf(auditEntry).extend({
  nextToken: z
    .string()
    .exactOptional()
    .meta({ description: 'Asks for the next page; the last one has none' }),
})
export type AuditPage = z.infer<typeof auditPage>
