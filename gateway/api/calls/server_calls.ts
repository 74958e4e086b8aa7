/**
 * The calls of `/api/v1` about source servers.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { diskChoiceSchema } from '../../disk_choices.ts'
import { launchConfigurationSchema } from '../../launch_settings.ts'
import { protectionSchema } from '../../protection_settings.ts'
import { replicationConfigurationSchema } from '../../replication_settings.ts'
import { serverEventsQuery, serverListQuery } from '../server_routes.ts'

const server = '/servers/:id'

/** Each of them. */
export const serverCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/servers',
    summary: 'Source servers with their live figures, page by page',
    role: 'viewer',
    query: serverListQuery,
  },
  {
    method: 'get',
    path: server,
    summary: 'One server with its live figures',
    role: 'viewer',
    isTagged: true,
  },
  {
    method: 'get',
    path: `${server}/events`,
    summary: 'What happened to a server, newest first',
    role: 'viewer',
    query: serverEventsQuery,
  },
  {
    method: 'get',
    path: `${server}/actions`,
    summary: 'What can be done to a server now, and why not otherwise',
    role: 'viewer',
  },
  {
    method: 'post',
    path: `${server}/actions/:action`,
    summary: 'Do an action; "revert" is one stage back',
    role: 'operator',
  },
  {
    method: 'get',
    path: `${server}/certificate`,
    summary: 'The signed certificate of a migration that is complete',
    role: 'viewer',
  },
  {
    method: 'get',
    path: `${server}/forecast`,
    summary: 'How long its first copy will take, whether that ends, and the downtime of its cutover',
    role: 'viewer',
  },
  {
    method: 'get',
    path: `${server}/protection`,
    summary: 'Policy of consistency points and of new disks, as it holds',
    role: 'viewer',
    isTagged: true,
  },
  {
    method: 'put',
    path: `${server}/protection`,
    summary: 'Policy of consistency points and of new disks',
    role: 'operator',
    isTagged: true,
    body: protectionSchema,
  },
  {
    method: 'post',
    path: `${server}/disks`,
    summary: 'Take or leave out a disk that has appeared',
    role: 'operator',
    body: diskChoiceSchema,
  },
  {
    method: 'get',
    path: `${server}/replication-configuration`,
    summary: 'How a server is replicated',
    role: 'viewer',
    isTagged: true,
  },
  {
    method: 'put',
    path: `${server}/replication-configuration`,
    summary: 'Change how a server is replicated; what is left out stays, null takes away',
    role: 'operator',
    isTagged: true,
    body: replicationConfigurationSchema,
  },
  {
    method: 'get',
    path: `${server}/launch-configuration`,
    summary: 'How a server is launched',
    role: 'viewer',
    isTagged: true,
  },
  {
    method: 'put',
    path: `${server}/launch-configuration`,
    summary: 'Change how a server is launched; what is left out stays',
    role: 'operator',
    isTagged: true,
    body: launchConfigurationSchema,
  },
]
