/**
 * The calls of `/api/v1` about source servers.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { signedCertificate } from '../answers/certificate_answers.ts'
import {
  launchConfiguration,
  protection,
  replicationConfiguration,
} from '../answers/configuration_answers.ts'
import { serverForecast } from '../answers/forecast_answers.ts'
import { decidedActions, server, serverEvents, serverPage } from '../answers/server_answers.ts'
import { diskChoiceSchema } from '../../disk_choices.ts'
import { launchConfigurationSchema } from '../../launch_settings.ts'
import { protectionSchema } from '../../protection_settings.ts'
import { replicationConfigurationSchema } from '../../replication_settings.ts'
import { serverEventsQuery, serverListQuery } from '../server_routes.ts'

const path = '/servers/:id'

/** Each of them. */
export const serverCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/servers',
    summary: 'Source servers with their live figures, page by page',
    role: 'viewer',
    answer: serverPage,
    query: serverListQuery,
  },
  {
    method: 'get',
    path,
    summary: 'One server with its live figures',
    role: 'viewer',
    answer: server,
    isTagged: true,
  },
  {
    method: 'get',
    path: `${path}/events`,
    summary: 'What happened to a server, newest first, page by page',
    role: 'viewer',
    answer: serverEvents,
    query: serverEventsQuery,
  },
  {
    method: 'get',
    path: `${path}/actions`,
    summary: 'What can be done to a server now, and why not otherwise',
    role: 'viewer',
    answer: decidedActions,
  },
  {
    method: 'post',
    path: `${path}/actions/:action`,
    summary: 'Do an action; "revert" is one stage back',
    role: 'operator',
    answer: server,
  },
  {
    method: 'get',
    path: `${path}/certificate`,
    summary: 'The signed certificate of a migration that is complete',
    role: 'viewer',
    answer: signedCertificate,
  },
  {
    method: 'get',
    path: `${path}/forecast`,
    summary: 'How long its first copy will take, whether that ends, and the downtime of its cutover',
    role: 'viewer',
    answer: serverForecast,
  },
  {
    method: 'get',
    path: `${path}/protection`,
    summary: 'Policy of consistency points and of new disks, as it holds',
    role: 'viewer',
    answer: protection,
    isTagged: true,
  },
  {
    method: 'put',
    path: `${path}/protection`,
    summary: 'Policy of consistency points and of new disks',
    role: 'operator',
    answer: server,
    isTagged: true,
    isAnswerUntagged: true,
    body: protectionSchema,
  },
  {
    method: 'post',
    path: `${path}/disks`,
    summary: 'Take or leave out a disk that has appeared',
    role: 'operator',
    answer: server,
    body: diskChoiceSchema,
  },
  {
    method: 'get',
    path: `${path}/replication-configuration`,
    summary: 'How a server is replicated',
    role: 'viewer',
    answer: replicationConfiguration,
    isTagged: true,
  },
  {
    method: 'put',
    path: `${path}/replication-configuration`,
    summary: 'Change how a server is replicated; what is left out stays, null takes away',
    role: 'operator',
    answer: server,
    isTagged: true,
    isAnswerUntagged: true,
    body: replicationConfigurationSchema,
  },
  {
    method: 'get',
    path: `${path}/launch-configuration`,
    summary: 'How a server is launched',
    role: 'viewer',
    answer: launchConfiguration,
    isTagged: true,
  },
  {
    method: 'put',
    path: `${path}/launch-configuration`,
    summary: 'Change how a server is launched; what is left out stays',
    role: 'operator',
    answer: server,
    isTagged: true,
    isAnswerUntagged: true,
    body: launchConfigurationSchema,
  },
]
