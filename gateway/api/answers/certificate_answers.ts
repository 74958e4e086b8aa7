/**
 * The certificate of a migration as it is answered: signed, and what is in it.
 * @module
 */
import type { MigrationCertificate, SignedEnvelope } from '../../../domain/certificate.ts'
import { z } from 'zod'
import { certificateType } from '../../../domain/certificate.ts'
import { amount, answerOf, bytes, count, moment } from './answer_schema.ts'
import { diskRoots } from './replication_parts.ts'
import { launchMoments } from './server_parts.ts'

/** What is signed. */
export const migrationCertificate = answerOf<MigrationCertificate>()(
  z
    .object({
      version: z.literal(1),
      issuedAt: moment,
      issuer: z.object({ accountId: z.string(), rehostVersion: z.string() }),
      server: z.object({
        sourceServerId: z.string(),
        hostname: z.string(),
        os: z.string(),
        userProvidedId: z.string().exactOptional(),
      }),
      disks: z.array(
        z.object({ diskIndex: count, deviceName: z.string(), sizeBytes: bytes, isBootDisk: z.boolean() }),
      ),
      times: z.object({
        addedToServiceAt: moment,
        firstByteAt: moment.exactOptional(),
        readyForTestAt: moment.exactOptional(),
        lastTest: launchMoments.optional(),
        lastCutover: launchMoments.optional(),
      }),
      approvals: z.array(z.object({ at: moment, actor: z.string(), what: z.string() })),
      consistencyPoint: z
        .object({
          consistencyPointId: z.string(),
          reachedAt: moment.exactOptional(),
          method: z.string().exactOptional(),
          frozenMs: amount.exactOptional(),
          roots: diskRoots,
        })
        .exactOptional(),
      verification: z
        .object({
          askedBy: z.string(),
          endedAt: moment,
          verdict: z.string(),
          disks: z.array(
            z.object({
              diskIndex: count,
              checkedBytes: bytes,
              sourceRoot: z.string().exactOptional(),
              replicaRoot: z.string().exactOptional(),
              repairedBlocks: count,
            }),
          ),
        })
        .exactOptional(),
      machine: z.object({
        machineId: z.string(),
        jobId: z.string(),
        launchedAt: moment,
        firstBoot: z.string(),
      }),
      downtime: z
        .object({
          actualSeconds: amount,
          expectedSeconds: amount.exactOptional(),
          lowSeconds: amount.exactOptional(),
          highSeconds: amount.exactOptional(),
        })
        .exactOptional(),
    })
    .meta({
      id: 'MigrationCertificate',
      description: 'What moved, the proof of it, who approved it, and when',
    }),
)

/** The certificate in its signed envelope. */
export const signedCertificate = answerOf<SignedEnvelope>()(
  z
    .object({
      payloadType: z.string(),
      payload: z.string().meta({
        description: 'A MigrationCertificate as JSON, in base64',
        contentEncoding: 'base64',
        contentMediaType: certificateType,
      }),
      signatures: z.array(z.object({ keyid: z.string(), publicKey: z.string(), sig: z.string() })),
    })
    .meta({
      id: 'SignedCertificate',
      description: 'A certificate as the Dead Simple Signing Envelope has it',
    }),
)
