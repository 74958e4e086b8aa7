/**
 * The calls of `/api/v1` about installation tokens, access keys and API tokens.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import {
  accessKey,
  accessKeys,
  apiTokens,
  installationToken,
  installationTokens,
  newAccessKey,
  newApiToken,
  newInstallationToken,
} from '../answers/access_answers.ts'
import { accessKeySchema } from '../../people/new_access_key.ts'
import { newApiTokenSchema } from '../api_token_routes.ts'
import { keyStatusSchema } from '../access_key_routes.ts'
import { newTokenSchema } from '../token_routes.ts'

/** Each of them. */
export const accessCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/tokens',
    summary: 'Installation tokens, newest first',
    role: 'viewer',
    answer: installationTokens,
  },
  {
    method: 'post',
    path: '/tokens',
    summary: 'Make an installation token; its secret is in this answer alone',
    role: 'operator',
    answer: newInstallationToken,
    body: newTokenSchema,
    status: 201,
  },
  {
    method: 'get',
    path: '/tokens/:id',
    summary: 'One installation token',
    role: 'viewer',
    answer: installationToken,
    isTagged: true,
  },
  {
    method: 'delete',
    path: '/tokens/:id',
    summary: 'Revoke an installation token',
    role: 'operator',
    isTagged: true,
    status: 204,
  },
  {
    method: 'get',
    path: '/access-keys',
    summary: 'Access keys of MGN’s clients',
    role: 'admin',
    answer: accessKeys,
  },
  {
    method: 'post',
    path: '/access-keys',
    summary: 'Make an access key; its secret is in this answer alone',
    role: 'admin',
    answer: newAccessKey,
    body: accessKeySchema,
    status: 201,
  },
  {
    method: 'get',
    path: '/access-keys/:id',
    summary: 'One access key',
    role: 'admin',
    answer: accessKey,
    isTagged: true,
  },
  {
    method: 'put',
    path: '/access-keys/:id/status',
    summary: 'Enable or disable an access key',
    role: 'admin',
    answer: accessKey,
    isTagged: true,
    body: keyStatusSchema,
  },
  {
    method: 'delete',
    path: '/access-keys/:id',
    summary: 'Delete an access key',
    role: 'admin',
    isTagged: true,
    status: 204,
  },
  {
    method: 'get',
    path: '/api-tokens',
    summary: 'API tokens, oldest first',
    role: 'admin',
    answer: apiTokens,
  },
  {
    method: 'post',
    path: '/api-tokens',
    summary: 'Make an API token; it is in this answer alone',
    role: 'admin',
    answer: newApiToken,
    body: newApiTokenSchema,
    status: 201,
  },
  { method: 'delete', path: '/api-tokens/:id', summary: 'Revoke an API token', role: 'admin', status: 204 },
]
