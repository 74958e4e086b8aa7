/**
 * Tokens, access keys and parameters as they are answered: without what must be kept secret.
 * @module
 */
import type { AccessKey, ApiToken, InstallationToken } from '../../../domain/enrolment.ts'
import type { ReplicationServerId, TokenId } from '../../../domain/ids.ts'
import type { Parameter } from '../../../domain/parameter.ts'
import { z } from 'zod'
import { answerOf, count, idOf, listOf, moment } from './answer_schema.ts'

const role = z.enum(['viewer', 'operator', 'admin'])

/** An installation token without what could be used to guess it, and what only gateways need. */
export const installationToken = answerOf<Omit<InstallationToken, 'secretSha256' | 'pendingUses'>>()(
  z
    .object({
      tokenId: idOf<TokenId>('an installation token'),
      purpose: z.enum(['AGENT', 'REPLICATOR']),
      createdAt: moment,
      createdBy: z.string(),
      expiresAt: moment,
      usesLeft: count,
      replicationServerId: idOf<ReplicationServerId>('a replication server').exactOptional(),
      usedBy: z.array(z.string()),
    })
    .meta({ id: 'InstallationToken', description: 'A token that agents are installed with' }),
)
export type InstallationTokenView = z.infer<typeof installationToken>

/** Installation tokens. */
export const installationTokens = listOf(installationToken)
export type InstallationTokens = z.infer<typeof installationTokens>

/** A new one. */
export const newInstallationToken = installationToken
  .extend({ token: z.string(), installCommand: z.string() })
  .meta({
    id: 'NewInstallationToken',
    description: 'With its secret, which is never shown again, and how to use it',
  })
export type NewInstallationToken = z.infer<typeof newInstallationToken>

/** An API token. */
export const apiToken = answerOf<ApiToken>()(
  z
    .object({
      tokenSha256: z.string().meta({ description: 'Names the token in paths' }),
      name: z.string(),
      role,
      createdAt: moment,
    })
    .meta({ id: 'ApiToken', description: 'A token for programs' }),
)

/** API tokens. */
export const apiTokens = listOf(apiToken)
export type ApiTokens = z.infer<typeof apiTokens>

/** A new one. */
export const newApiToken = apiToken
  .extend({ token: z.string() })
  .meta({ id: 'NewApiToken', description: 'With what programs show, which is never shown again' })
export type NewApiToken = z.infer<typeof newApiToken>

/** An access key without its secret. */
export const accessKey = answerOf<Omit<AccessKey, 'sealedSecret'>>()(
  z
    .object({
      accessKeyId: z.string(),
      name: z.string(),
      role,
      scopes: z.array(z.string()),
      status: z.enum(['ACTIVE', 'INACTIVE']),
      createdAt: moment,
      createdBy: z.string(),
      lastUsedAt: moment.exactOptional(),
      expiresAt: moment.exactOptional(),
    })
    .meta({ id: 'AccessKey', description: 'A key for MGN’s clients' }),
)
export type AccessKeyView = z.infer<typeof accessKey>

/** Access keys. */
export const accessKeys = listOf(accessKey)
export type AccessKeys = z.infer<typeof accessKeys>

/** A new one. */
export const newAccessKey = accessKey
  .extend({ secretAccessKey: z.string() })
  .meta({ id: 'NewAccessKey', description: 'With its secret, which is never shown again' })
export type NewAccessKey = z.infer<typeof newAccessKey>

/** A parameter without its value. */
export const parameter = answerOf<Omit<Parameter, 'sealedValue'>>()(
  z
    .object({ name: z.string(), changedAt: moment, changedBy: z.string() })
    .meta({ id: 'Parameter', description: 'A value that post-launch actions take, by its name' }),
)
export type ParameterView = z.infer<typeof parameter>

/** Parameters. */
export const parameters = listOf(parameter)
export type Parameters = z.infer<typeof parameters>

/** A parameter with its value. */
export const parameterWithValue = parameter.extend({ value: z.string() }).meta({ id: 'ParameterWithValue' })
export type ParameterWithValue = z.infer<typeof parameterWithValue>
