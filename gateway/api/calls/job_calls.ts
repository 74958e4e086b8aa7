/**
 * The calls of `/api/v1` about jobs.
 * @module
 */
import type { DescribedCall } from './described_call.ts'

/** Each of them. */
export const jobCalls: readonly DescribedCall[] = [
  { method: 'get', path: '/jobs', summary: 'Jobs, newest first', role: 'viewer' },
  { method: 'get', path: '/jobs/:id', summary: 'One job', role: 'viewer' },
  { method: 'get', path: '/jobs/:id/log', summary: 'The log of a job, oldest first', role: 'viewer' },
  {
    method: 'get',
    path: '/jobs/:id/tasks',
    summary: 'The steps of a job, for each of its servers',
    role: 'viewer',
  },
  {
    method: 'get',
    path: '/jobs/:id/servers/:server/:artefact',
    summary: 'What a launch left: serial.log, screenshot.png, conversion.json or actions.log',
    role: 'viewer',
    answers: '*/*',
  },
]
