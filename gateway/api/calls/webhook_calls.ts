/**
 * The calls of `/api/v1` about webhooks.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { newWebhookSchema, replaySchema, rotationSchema, webhookChangeSchema } from '../../webhook_schemas.ts'
import { attemptsQuery, deliveriesQuery } from '../webhook_routes.ts'

const webhook = '/webhooks/:id'

/** Each of them. */
export const webhookCalls: readonly DescribedCall[] = [
  { method: 'get', path: '/webhooks', summary: 'Webhook endpoints', role: 'operator' },
  {
    method: 'post',
    path: '/webhooks',
    summary: 'Make an endpoint; its secret is in this answer alone',
    role: 'admin',
    body: newWebhookSchema,
    status: 201,
  },
  { method: 'get', path: webhook, summary: 'One endpoint', role: 'operator', isTagged: true },
  {
    method: 'put',
    path: webhook,
    summary: 'Change an endpoint; what is left out stays',
    role: 'admin',
    isTagged: true,
    body: webhookChangeSchema,
  },
  {
    method: 'delete',
    path: webhook,
    summary: 'Delete an endpoint with what waits for it',
    role: 'admin',
    isTagged: true,
    status: 204,
  },
  {
    method: 'post',
    path: `${webhook}/rotate-secret`,
    summary: 'Make another secret; the old one signs too for a while',
    role: 'admin',
    body: rotationSchema,
  },
  { method: 'post', path: `${webhook}/test`, summary: 'Send a test event', role: 'admin' },
  {
    method: 'post',
    path: `${webhook}/replay`,
    summary: 'Send events of a time once more',
    role: 'admin',
    body: replaySchema,
  },
  {
    method: 'get',
    path: `${webhook}/attempts`,
    summary: 'Tries with their answers, newest first',
    role: 'operator',
    query: attemptsQuery,
  },
  {
    method: 'get',
    path: `${webhook}/deliveries`,
    summary: 'What is, was or could not be delivered',
    role: 'operator',
    query: deliveriesQuery,
  },
  {
    method: 'get',
    path: `${webhook}/deliveries/:delivery`,
    summary: 'One delivery with its event',
    role: 'operator',
  },
  {
    method: 'post',
    path: `${webhook}/deliveries/:delivery/redeliver`,
    summary: 'Send one delivery again',
    role: 'admin',
  },
]
