/**
 * The calls of `/api/v1` about webhooks.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import {
  attemptPage,
  delivery,
  deliveryPage,
  replayed,
  webhook,
  webhooks,
  webhookWithSecret,
} from '../answers/webhook_answers.ts'
import { newWebhookSchema, replaySchema, rotationSchema, webhookChangeSchema } from '../../webhook_schemas.ts'
import { attemptsQuery, deliveriesQuery } from '../webhook_routes.ts'

const path = '/webhooks/:id'

/** Each of them. */
export const webhookCalls: readonly DescribedCall[] = [
  { method: 'get', path: '/webhooks', summary: 'Webhook endpoints', role: 'operator', answer: webhooks },
  {
    method: 'post',
    path: '/webhooks',
    summary: 'Make an endpoint; its secret is in this answer alone',
    role: 'admin',
    answer: webhookWithSecret,
    body: newWebhookSchema,
    status: 201,
  },
  { method: 'get', path, summary: 'One endpoint', role: 'operator', answer: webhook, isTagged: true },
  {
    method: 'put',
    path,
    summary: 'Change an endpoint; what is left out stays',
    role: 'admin',
    answer: webhook,
    isTagged: true,
    body: webhookChangeSchema,
  },
  {
    method: 'delete',
    path,
    summary: 'Delete an endpoint with what waits for it',
    role: 'admin',
    isTagged: true,
    status: 204,
  },
  {
    method: 'post',
    path: `${path}/rotate-secret`,
    summary: 'Make another secret; the old one signs too for a while',
    role: 'admin',
    answer: webhookWithSecret,
    body: rotationSchema,
  },
  {
    method: 'post',
    path: `${path}/test`,
    summary: 'Send a test event',
    role: 'admin',
    answer: delivery,
    status: 202,
  },
  {
    method: 'post',
    path: `${path}/replay`,
    summary: 'Send events of a time once more',
    role: 'admin',
    answer: replayed,
    status: 202,
    body: replaySchema,
  },
  {
    method: 'get',
    path: `${path}/attempts`,
    summary: 'Tries with their answers, newest first',
    role: 'operator',
    answer: attemptPage,
    query: attemptsQuery,
  },
  {
    method: 'get',
    path: `${path}/deliveries`,
    summary: 'What is, was or could not be delivered',
    role: 'operator',
    answer: deliveryPage,
    query: deliveriesQuery,
  },
  {
    method: 'get',
    path: `${path}/deliveries/:delivery`,
    summary: 'One delivery with its event',
    role: 'operator',
    answer: delivery,
  },
  {
    method: 'post',
    path: `${path}/deliveries/:delivery/redeliver`,
    summary: 'Send one delivery again',
    role: 'admin',
    answer: delivery,
    status: 202,
  },
]
